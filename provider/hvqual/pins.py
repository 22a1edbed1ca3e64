# SPDX-License-Identifier: GPL-2.0-or-later
"""Which host CPUs each vCPU may run on: plans for all guests of a node, and how such sets are written and read."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Callable

from avocado.core.exceptions import TestError

from provider.hvqual import capability
from provider.hvqual.case import Case
from provider.hvqual.host_config import Shape
from provider.hvqual.params import Guests
from provider.hvqual.shares import cpus

Place = frozenset[int]
"""Host CPUs."""
Pins = tuple[Place, ...]
"""The host CPUs of each vCPU of a guest."""


def node_cpus(wanted: Guests) -> tuple[int, ...]:
    """Return the host CPUs for guests: those that this process may use, less the reserve, which are the first ones."""
    return tuple(sorted(os.sched_getaffinity(0))[wanted.reserve_cpus :])


def require_choice(case: Case[Any]) -> None:
    """Cancel the case on a node with one CPU for guests: there all pins are the same, and one that does nothing is not noticed."""
    node = node_cpus(case.wanted)
    capability.require("several host CPUs for guests", f"they are {text(node)}", case.record, ok=len(node) > 1)


def _one_to_one(vcpus: Sequence[int], node: Sequence[int]) -> list[Pins]:
    """Give each vCPU one host CPU, all of the node in turn."""
    turn = itertools.cycle(node)
    return [tuple(frozenset([next(turn)]) for _ in range(count)) for count in vcpus]


def _spread(vcpus: Sequence[int], node: Sequence[int]) -> list[Pins]:
    """Let each vCPU run on every second host CPU, the odd ones first: with two CPUs each runs where it did not by '1:1'."""
    halves = [half for half in (frozenset(node[1::2]), frozenset(node[0::2])) if half]
    turn = itertools.cycle(halves)
    return [tuple(next(turn) for _ in range(count)) for count in vcpus]


def _same(vcpus: Sequence[int], node: Sequence[int]) -> list[Pins]:
    """Have all vCPUs of a guest on the same host CPU, the guests in turn from the node's last one on."""
    turn = itertools.cycle(list(node)[::-1])
    return [(frozenset([next(turn)]),) * count for count in vcpus]


def _anywhere(vcpus: Sequence[int], node: Sequence[int]) -> list[Pins]:
    """Let each vCPU run on all the node's CPUs for guests."""
    return [(frozenset(node),) * count for count in vcpus]


PLANS: dict[str, Callable[[Sequence[int], Sequence[int]], list[Pins]]] = {
    "1:1": _one_to_one,
    "spread": _spread,
    "same": _same,
    "anywhere": _anywhere,
}


def planned(plan: str, vcpus: Sequence[int], node: Sequence[int]) -> list[Pins]:
    """Return the pins that *plan* has for guests with so many *vcpus* on the CPUs of *node*; TestError for another plan."""
    if plan not in PLANS:
        message = f"'{plan}' is no plan of pins; there are: {', '.join(PLANS)}."
        raise TestError(message)
    return PLANS[plan](vcpus, node)


def in_turn(wanted: Guests) -> Callable[[Shape], Shape]:
    """Return what gives each VM its pins in its definition, by the plan '1:1' over all the VMs that it is asked for."""
    turn = itertools.cycle(node_cpus(wanted))

    def pinned(shape: Shape) -> Shape:
        return replace(shape, pins=tuple(next(turn) for _ in range(shape.vcpus)))

    return pinned


def text(place: Iterable[int]) -> str:
    """Return a set of host CPUs as virsh takes it."""
    return ",".join(map(str, sorted(place)))


def told(output: str) -> dict[str, Place]:
    """Return what a table of virsh (vcpupin, emulatorpin, iothreadinfo) says: the host CPUs by its first column."""
    found = {}
    for line in output.splitlines():
        first, _, last = line.strip().partition(" ")
        if last.strip() and set(last.strip()) <= set("0123456789-,") and (first.isdigit() or first == "*:"):
            found[first.rstrip(":")] = frozenset(cpus(last))
    return found


def of_map(row: Sequence[bool]) -> Place:
    """Return the host CPUs of one of libvirt-python's maps."""
    return frozenset(number for number, may in enumerate(row) if may)
