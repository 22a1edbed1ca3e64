# SPDX-License-Identifier: GPL-2.0-or-later
"""
What the node has, told by others than those who shared it out: libvirt's own numbers, and the limits over a QEMU that runs.

`capability.capacity` looks at the test's own process before a VM is there; here it is looked at where the VM stands.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provider.hvqual import capability, shares

PROC = Path("/proc")


@dataclass(frozen=True)
class Room:
    """CPUs that a process may use, how many CPUs' time it gets at most, and KiB of memory."""

    cpus: int
    cpu_time: float
    memory_kib: int


def around(pid: int, connection: Any, root: Path = capability.CGROUP) -> Room:
    """Return what the process *pid*, a QEMU, may use: libvirt's numbers of the node, cut by affinity and cgroups of the process."""
    _, memory_mib, node_cpus, *_ = connection.getInfo()
    may = shares.allowed(shares.Thread(pid, pid, "main"))
    cgroups = (PROC / str(pid) / "cgroup").read_text(encoding="utf-8")
    memory = min([memory_mib * 1024, *capability.memory_limits_kib(cgroups, root)])
    cpus = min(node_cpus, len(may))
    return Room(cpus, min([float(cpus), *capability.cpu_limits(cgroups, root)]), memory)


def rest(room: Room, reserve_cpus: int, reserve_mib: int, most_mib: int) -> Room:
    """Return what is for guests: *room* less the stated reserve, scaled down to *most_mib* when that is not 0."""
    memory = room.memory_kib - reserve_mib * 1024
    if most_mib:
        memory = min(memory, most_mib * 1024)
    cpus = room.cpus - reserve_cpus
    return Room(cpus, min(room.cpu_time, float(cpus)), memory)
