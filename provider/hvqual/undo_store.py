# SPDX-License-Identifier: GPL-2.0-or-later
"""How an undo entry lies on disk: whole or not at all, and durable when the writer goes on."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from provider.hvqual import processes

TAINTED = "TAINTED"
FORMAT = 1


@dataclass(frozen=True)
class Entry:
    """One recorded change: what would put it back, and who made it."""

    path: Path
    action: str
    details: dict[str, Any]
    owner: processes.Identity
    wall: float


@dataclass
class Status:
    """The log as it lies on disk."""

    entries: list[Entry] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)
    tainted: list[str] = field(default_factory=list)


def fsync_folder(folder: Path) -> None:
    """Make the names in *folder* durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """
    Make *folder*, readable by root alone, with its parents, each durable in its parent.

    Everybody may pass through the parents, whatever the umask: images lie below the same state home, and QEMU reads them as its own
    user (libvirt-qemu with Debian's libvirt 9.0).
    """
    missing = [part for part in (folder, *folder.parents) if not part.exists()]
    for part in reversed(missing):
        part.mkdir(mode=0o700, exist_ok=True)
        if part != folder:
            part.chmod(0o755)
        fsync_folder(part.parent)


def write_durable(path: Path, text: str) -> None:
    """Write a whole file or nothing: temporary file, fsync, rename, fsync of the folder."""
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
    fsync_folder(path.parent)


def parse(path: Path) -> Entry:
    """The entry in a file; ValueError, KeyError or TypeError when it is half-written or not one."""
    data = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        message = f"it is not an undo entry of format {FORMAT}"
        raise ValueError(message)
    if not isinstance(data["details"], dict):
        message = "its details are not an object"
        raise TypeError(message)
    return Entry(
        path, str(data["action"]), data["details"], processes.Identity.from_json(data["owner"]), float(data["wall"])
    )


def number(path: Path) -> tuple[int, str]:
    """Where an entry's file stands in the order of making; a name that is not ours comes first."""
    head = path.name.split("-", 1)[0]
    return (int(head) if head.isdigit() else 0, path.name)
