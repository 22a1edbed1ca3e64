# SPDX-License-Identifier: GPL-2.0-or-later
"""How the machine is shared out: a reserve for itself, the rest for the two hosts."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from avocado_hvqual.errors import LabError
from avocado_hvqual.lab.paths import NODE, PEER

_GIB = 1 << 30
#: What the machine keeps: an eighth of its memory, at least 1 GiB.
_RESERVE_PART = 8
_RESERVE_LEAST = 1 * _GIB
#: A host with less cannot hold one guest beside libvirtd.
_HOST_LEAST = _GIB // 2
#: The node's part of the CPUs. It runs the tests and all the guests of most cases; its peer receives one at a time. Memory is split
#: evenly, because whatever stands on the node must find room on the peer when it moves.
_NODE_CPU_PART = 0.75
_PROCESSES = 8192


@dataclasses.dataclass(frozen=True)
class Budget:
    """
    What one host has: CPUs (2.0 is two whole ones), memory in bytes, processes and threads.

    The CPUs are its part whenever both hosts want more than there is; the rest are what it may use at most.
    """

    cpus: float
    memory_bytes: int
    processes: int = _PROCESSES


def machine() -> tuple[int, int]:
    """Return the CPUs that this process may use and the memory of the machine in bytes."""
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemTotal:"):
            return len(os.sched_getaffinity(0)), int(line.split()[1]) * 1024
    msg = "/proc/meminfo has no line MemTotal."
    raise LabError(msg)


def share_out(cpus: int, memory_bytes: int) -> dict[str, Budget]:
    """Return the budgets of both hosts; together they never exceed *cpus* and *memory_bytes* minus the reserve."""
    reserve = max(_RESERVE_LEAST, memory_bytes // _RESERVE_PART)
    each = (memory_bytes - reserve) // 2 // 4096 * 4096
    if each < _HOST_LEAST:
        msg = (
            f"The lab needs {2 * _HOST_LEAST + _RESERVE_LEAST >> 20} MiB of memory for two hosts and the machine itself, found "
            f"{memory_bytes >> 20} MiB; take a larger machine."
        )
        raise LabError(msg)
    node_cpus = cpus * _NODE_CPU_PART
    return {NODE: Budget(node_cpus, each), PEER: Budget(cpus - node_cpus, each)}
