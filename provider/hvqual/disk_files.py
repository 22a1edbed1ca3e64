# SPDX-License-Identifier: GPL-2.0-or-later
"""What the files of a guest's disks say on the host: layers, snapshots in them, the guest's content; and who has them open."""

from __future__ import annotations

import hashlib
import json
import shlex
from pathlib import Path
from typing import Any

from avocado.core.exceptions import TestError
from avocado.utils import process

from provider.hvqual import contents
from provider.hvqual.domain_xml import Spec

TOOL_S = 60


def chain(path: str) -> list[str]:
    """Return the files through which the disk at *path* is read, by their own headers; empty when it is not there."""
    return [str(layer["filename"]) for layer in _info(path, "--backing-chain")] if Path(path).exists() else []


def snapshot_table(path: str) -> dict[str, int]:
    """Return the snapshots in the disk at *path* by name, each with the bytes of memory in it; TestError when it is unreadable."""
    return parse_table(_info(path))


def parse_table(told: Any) -> dict[str, int]:
    """Return the snapshots of what qemu-img tells of a disk, by name with the size of their memory (byte)."""
    return {it["name"]: int(it["vm-state-size"]) for it in told.get("snapshots", [])}


def _info(path: str, options: str = "") -> Any:
    """Return what qemu-img tells of the disk at *path*, though a guest has it open."""
    command = f"qemu-img info -U {options} --output=json {shlex.quote(path)}"
    done = process.run(command, ignore_status=True, timeout=TOOL_S, verbose=False)
    if done.exit_status:
        message = f"qemu-img cannot read '{path}': {done.stderr_text.strip()}"
        raise TestError(message)
    return json.loads(done.stdout_text)


def content_marks(spec: Spec) -> list[str]:
    """Return the checksum of the content's mark (`contents`) on each disk, as its file holds it on the host (raw disks)."""
    found = []
    for disk in spec.disks:
        with Path(disk.path).open("rb") as file:
            file.seek(contents.OFFSET)
            found.append(hashlib.sha256(file.read(contents.LENGTH)).hexdigest())
    return found


def parse_blklist(text: str) -> dict[str, str]:
    """Return the source of each target in virsh's table of block devices."""
    rows = [line.split(None, 1) for line in text.splitlines()[2:] if line.strip()]
    return {row[0]: row[1].strip() for row in rows if len(row) > 1}


def open_files(pid: int) -> set[str]:
    """Return the files that the process *pid* has open."""
    found = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.add(str(descriptor.readlink()))
        except OSError:
            continue  # closed meanwhile
    return found
