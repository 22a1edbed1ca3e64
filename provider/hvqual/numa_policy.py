# SPDX-License-Identifier: GPL-2.0-or-later
"""
On which of the host's NUMA nodes memory may lie, and lies: by the kernel's own words (/proc/PID/numa_maps, cpuset.mems).

Of libvirt's modes QEMU makes policies (libvirt 9.0, QEMU 7.2): strict is 'bind', preferred 'prefer', interleave 'interleave';
restrictive is no policy of the memory's own, the cgroup alone keeps it there, and only it can be changed while a guest runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from avocado.core.exceptions import TestError

from provider.hvqual import smaps
from provider.hvqual.host_process import PROC
from provider.hvqual.shares import cpus

POLICIES = {"strict": "bind", "preferred": "prefer", "interleave": "interleave", "restrictive": "default"}
SYSTEM = Path("/sys/devices/system/node")
CGROUP = Path("/sys/fs/cgroup")
ON_NODE = re.compile(r"N(\d+)=(\d+)")


@dataclass(frozen=True)
class Placed:
    """One mapping: its policy (the kernel's word), the nodes of that, and how much of it is on which node (KiB)."""

    start: int
    policy: str
    nodes: frozenset[int]
    on_nodes: dict[int, int] = field(default_factory=dict)
    held_kib: int = 0
    """How much of it is in memory by another word of the kernel (smaps): all of that must be on some node."""


def parse(lines: Iterable[str]) -> dict[int, Placed]:
    """Return the mappings of a numa_maps file by their start."""
    found = {}
    for line in lines:
        # The policy can hold a blank: 'prefer (many):0-1'.
        head = re.match(r"([0-9a-f]+) (\w+)(?: \(many\))?(?:=[\w|]+)?(?::([\d,-]+))?(?: |$)(.*)", line)
        if not head:
            continue
        page = re.search(r"kernelpagesize_kB=(\d+)", head[4])
        size = int(page[1]) if page else smaps.BASE_PAGE_KIB
        pages = {int(node): int(count) * size for node, count in ON_NODE.findall(head[4])}
        found[int(head[1], 16)] = Placed(int(head[1], 16), head[2], frozenset(cpus(head[3] or "")), pages)
    return found


def of_ram(pid: int, pieces_kib: Sequence[int]) -> list[Placed]:
    """Return how the pieces of a guest's memory are placed; TestError when QEMU does not map each of them."""
    placed = parse((PROC / str(pid) / "numa_maps").read_text(encoding="utf-8", errors="replace").splitlines())
    found = []
    for size in sorted(set(pieces_kib)):
        fitting = [one for one in smaps.mappings(pid) if one.size == size and one.start in placed]
        wanted = list(pieces_kib).count(size)
        if len(fitting) < wanted:
            message = f"QEMU {pid} has {len(fitting)} mappings of {size} KiB for {wanted} pieces of its guest's memory."
            raise TestError(message)
        found += [
            replace(placed[one.start], held_kib=one.held) for one in sorted(fitting, key=_held, reverse=True)[:wanted]
        ]
    return found


def _held(one: smaps.Mapping) -> int:
    return one.held


def online(root: Path = SYSTEM) -> list[int]:
    """Return the host's NUMA nodes that have memory; one without NUMA has node 0."""
    try:
        return sorted(cpus((root / "has_memory").read_text(encoding="ascii")))
    except OSError:
        return [0]


def allowed(cgroups: str, root: Path = CGROUP) -> set[int] | None:
    """
    Return the nodes on which the cgroups of a process (its /proc/PID/cgroup) let its memory be; None where none of them says.

    The nearest group that says something counts; version 2 says nothing where nothing was limited.
    """
    for line in cgroups.splitlines():
        _, controllers, path = line.split(":", 2)
        if "cpuset" in controllers.split(","):
            base = root / "cpuset"
        elif not controllers:
            base = next((place for place in (root / "unified", root) if place.is_dir()), root)
        else:
            continue
        for folder in [base / path.lstrip("/"), *(base / path.lstrip("/")).parents]:
            file = folder / "cpuset.mems"
            text = file.read_text(encoding="ascii").strip() if file.is_file() else ""
            if text:
                return cpus(text)
            if folder == base:
                break
    return None


def unaccounted(placed: Iterable[Placed]) -> int:
    """Return how much is in memory and on no node (KiB): where a policy is obeyed by nothing, nothing is obeyed."""
    return sum(max(0, one.held_kib - sum(one.on_nodes.values())) for one in placed)


def elsewhere(placed: Iterable[Placed], nodes: Iterable[int]) -> int:
    """Return how much of the memory is on other nodes than *nodes* (KiB)."""
    wanted = set(nodes)
    return sum(kib for one in placed for node, kib in one.on_nodes.items() if node not in wanted)
