# SPDX-License-Identifier: GPL-2.0-or-later
"""The CPU time that a guest's virtual CPUs have used, as the host's scheduler counts it: a guest that stands still uses none."""

from __future__ import annotations

import re
from pathlib import Path

from avocado.core.exceptions import TestError

from provider.hvqual.host_process import PROC

# QEMU names its threads so under -name ...,debug-threads=on, which libvirt and avocado-vt both give.
VCPU = re.compile(r"CPU \d+/(KVM|TCG)")
NANO = 1e9


def used(pid: int, vcpus: int) -> float:
    """
    Return the seconds of CPU time of the *vcpus* virtual CPUs of the QEMU process *pid*, all together.

    TestError when another number of such threads is found: what is not seen cannot be called still.
    """
    found = threads(pid)
    if len(found) != vcpus:
        message = f"QEMU (pid {pid}) should have {vcpus} threads named 'CPU n/TCG' or 'CPU n/KVM'; it has {len(found)}."
        raise TestError(message)
    return sum(int((folder / "schedstat").read_text(encoding="ascii").split()[0]) for folder in found) / NANO


def threads(pid: int) -> list[Path]:
    """Return the folders of the threads of QEMU *pid* that are virtual CPUs; none when it has ended."""
    tasks = PROC / str(pid) / "task"
    try:
        return sorted(folder for folder in tasks.iterdir() if VCPU.fullmatch(_name(folder)))
    except FileNotFoundError:
        return []


def _name(task: Path) -> str:
    try:
        return (task / "comm").read_text(encoding="utf-8", errors="replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""
