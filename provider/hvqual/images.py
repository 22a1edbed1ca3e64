# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest image that a case starts, as its manifest describes it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from avocado.core.exceptions import TestError

from provider.hvqual import marks


@dataclass(frozen=True)
class Image:
    """A direct-kernel guest image: its files, its kernel's command line and how to log in."""

    name: str
    kernel: Path
    initrd: Path
    cmdline: str
    prompt: str
    login_user: str
    min_memory_kib: int
    password: str
    digest: str
    """Of the manifest, which holds the checksums of all its files."""
    disk: Optional[Path] = None
    """The raw disk that holds the guest's system, of which each VM gets a copy; None for an image that boots without one."""


def folder_of(home: str, name: str) -> Path:
    """Return where the image *name* is, or would be, below *home* (empty: our own home)."""
    return (Path(home) if home else marks.home() / "images") / name


def load(home: str, name: str) -> Image:
    """
    Return the image *name* below *home* (empty: our own home).

    TestError with the command that builds it when it is not there or not whole.
    """
    folder = folder_of(home, name)
    mend = f"Build it with: avocado hvqual image build {name}"
    try:
        manifest = (folder / "manifest.json").read_text(encoding="utf-8")
        told = json.loads(manifest)
        image = Image(
            name=told["name"],
            kernel=folder / told["kernel"],
            initrd=folder / told["initrd"],
            cmdline=told["cmdline"],
            prompt=told["prompt"],
            login_user=told["login_user"],
            min_memory_kib=int(told["min_memory_kib"]),
            password=(folder / "password").read_text(encoding="utf-8").strip(),
            digest=hashlib.sha256(manifest.encode()).hexdigest(),
            disk=folder / told["disk"] if told.get("disk") else None,
        )
    except FileNotFoundError as error:
        message = f"There is no guest image '{name}': '{error.filename}' is missing. {mend}"
        raise TestError(message) from None
    except (KeyError, ValueError) as error:
        message = f"{folder / 'manifest.json'}: is not a manifest of a guest image ({error!r}). {mend}"
        raise TestError(message) from None
    for file in (image.kernel, image.initrd, image.disk):
        if file is not None and not file.is_file():
            message = f"The guest image '{name}' has no '{file}'. {mend}"
            raise TestError(message)
    return image
