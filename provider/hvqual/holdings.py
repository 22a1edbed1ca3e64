# SPDX-License-Identifier: GPL-2.0-or-later
"""What a running guest holds of its host beside its process: network taps, locks on its disks, files of huge pages."""

from __future__ import annotations

import os
import re
from pathlib import Path

from provider.hvqual.domain_xml import Spec
from provider.hvqual.host_process import PROC

TAP = re.compile(r"^iff:\s*(\S+)$", re.MULTILINE)
LINKS = Path("/sys/class/net")
HUGE = Path("/dev")
SETTLE = 10.0
"""For so many seconds the host may take to free them."""


def taps(pid: int) -> set[str]:
    """Return the tap interfaces that the QEMU process *pid* has open."""
    found: set[str] = set()
    try:
        for file in (PROC / str(pid) / "fdinfo").iterdir():
            try:
                found.update(TAP.findall(file.read_text(encoding="ascii", errors="replace")))
            except FileNotFoundError:
                continue
    except FileNotFoundError:
        pass
    return found


def locked(spec: Spec) -> list[str]:
    """Return the disks of the guest that some process holds locked (/proc/locks), as QEMU does while it has them open."""
    inodes = {line.split()[-3].rsplit(":", 1)[1] for line in (PROC / "locks").read_text(encoding="ascii").splitlines()}
    return [
        disk.path for disk in spec.disks if os.path.lexists(disk.path) and str(Path(disk.path).stat().st_ino) in inodes
    ]


def left(spec: Spec, held: set[str]) -> list[str]:
    """Return what is still there of a guest that is off: of the taps *held* before, locks, files of huge pages."""
    files = [str(path) for path in HUGE.glob(f"hugepages*/libvirt/qemu/*-{spec.name}")]
    return [f"link {name}" for name in sorted(held) if (LINKS / name).exists()] + [
        *(f"lock on {path}" for path in locked(spec)),
        *(f"huge pages in {path}" for path in files),
    ]
