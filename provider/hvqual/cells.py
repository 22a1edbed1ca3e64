# SPDX-License-Identifier: GPL-2.0-or-later
"""
NUMA nodes of a guest: what it is given, and what its own kernel makes of them.

Guest nodes need none of the host's: the firmware's tables (SRAT, SLIT) tell the guest which CPUs and memory belong together.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass

from avocado.core.exceptions import TestError
from virttest import virsh

from provider.hvqual.domain_xml import Cell, Spec
from provider.hvqual.expect import Expect
from provider.hvqual.guests import Guest
from provider.hvqual.host_config import LEAST_KIB, UNIT_KIB, Shape
from provider.hvqual.shares import told_cpus
from provider.hvqual.steps import fail
from provider.hvqual.wait import WaitTimeoutError, until

PAGE_KIB = 4
SETTLE = 20.0
LOCAL = 10
# What firmware and tables keep of a node: a legacy hole of 384 KiB, ACPI tables, and less than 2 MiB in all (q35 of QEMU 7.2).
KEPT_KIB = 2048
ASK = (
    "cd /sys/devices/system/node; for node in node[0-9]*; do "
    'echo "$node cpus $(cat $node/cpulist)"; echo "$node distances $(cat $node/distance)"; done; '
    "grep -E '^Node|present' /proc/zoneinfo"
)
NODE = re.compile(r"node(\d+) (cpus|distances) ?(.*)")
ZONE = re.compile(r"Node (\d+), zone")


@dataclass(frozen=True)
class Node:
    """One NUMA node as a guest's kernel tells it."""

    cpus: frozenset[int]
    memory_kib: int
    distances: tuple[int, ...]


def split(shape: Shape, count: int, plug: int, distance: int) -> Shape:
    """
    Return the shape in *count* NUMA nodes of equal memory, with room for *plug* vCPUs more in the last of them that have CPUs left.

    TestError when a node would get less than a guest's kernel can use.
    """
    each = shape.memory_kib // max(1, count) // UNIT_KIB * UNIT_KIB
    if each * count < LEAST_KIB:
        message = f"{shape.memory_kib // 1024} MiB cannot be split into {count} NUMA nodes. Lower hv_cells."
        raise TestError(message)
    share = -(-(shape.vcpus + plug) // count)
    nodes = tuple(
        Cell(
            tuple(range(number * share, (number + 1) * share)),
            each,
            tuple(LOCAL if number == other else distance for other in range(count)),
        )
        for number in range(count)
    )
    growth = dataclasses.replace(shape.growth, max_vcpus=share * count)
    return dataclasses.replace(shape, memory_kib=each * count, cells=nodes, growth=growth)


def told(text: str) -> list[Node]:
    """Return the nodes of which a guest's /sys and /proc/zoneinfo tell, in their order."""
    found: dict[int, dict[str, str]] = {}
    pages: dict[int, int] = {}
    number = -1
    for line in text.splitlines():
        zone, node, words = ZONE.match(line), NODE.match(line.strip()), line.split()
        if node:
            found.setdefault(int(node[1]), {})[node[2]] = node[3]
        elif zone:
            number = int(zone[1])
        elif words[:1] == ["present"] and words[1:2] and words[1].isdecimal():
            pages[number] = pages.get(number, 0) + int(words[1])
    return [
        Node(
            frozenset(told_cpus(found[node].get("cpus", ""))),
            pages.get(node, 0) * PAGE_KIB,
            tuple(
                int(word) for word in found[node].get("distances", "").split() if word.isdecimal() and word.isascii()
            ),
        )
        for node in sorted(found)
    ]


def wrong_with(spec: Spec, nodes: Sequence[Node]) -> str:
    """Return '' when the guest's nodes are those of the model, else one sentence with every difference."""
    wrong = []
    if len(nodes) != len(spec.cells):
        wrong.append(f"{len(nodes)} NUMA nodes instead of {len(spec.cells)}")
    for number, (node, cell) in enumerate(zip(nodes, spec.cells)):
        there = {cpu for cpu in cell.cpus if cpu < spec.vcpus}
        if node.cpus != there:
            wrong.append(f"the CPUs {sorted(node.cpus)} in node {number} instead of {sorted(there)}")
        if not cell.memory_kib - KEPT_KIB <= node.memory_kib <= cell.memory_kib:
            wrong.append(f"{node.memory_kib} KiB in node {number} of {cell.memory_kib}")
        if node.distances != cell.distances:
            wrong.append(f"the distances {node.distances} of node {number} instead of {cell.distances}")
    return f"The guest sees {', '.join(wrong)}." if wrong else ""


def as_asked(guest: Guest, expect: Expect) -> None:
    """Expect the guest's kernel to have the NUMA nodes of the model; observe cells_as_asked (bool)."""
    with expect.record.step("compare NUMA nodes", guest.name):
        wrong = wrong_with(guest.spec, told(guest.ask(ASK)))
        expect.record.observe("cells_as_asked", not wrong, "bool", guest.name)
        if wrong:
            fail(expect.record, "wrong-result", f"'{guest.name}': {wrong}", guest.name)


def plug(guest: Guest, expect: Expect, count: int) -> None:
    """Plug *count* vCPUs; expect each to come online in the node that the model has it in."""
    if not count:
        return
    with expect.record.step("plug into the last node", guest.name):
        wanted = dataclasses.replace(guest.spec, vcpus=guest.spec.vcpus + count)
        expect.act(virsh.setvcpus, guest.name, str(wanted.vcpus), "--live")
        guest.becomes(wanted)
        try:
            until(
                lambda: not wrong_with(wanted, told(guest.ask(ASK))),
                SETTLE,
                f"the CPUs of '{guest.name}'",
                interval=0.2,
            )
        except WaitTimeoutError:
            wrong = wrong_with(wanted, told(guest.ask(ASK)))
            fail(expect.record, "wrong-result", f"'{guest.name}' after {count} vCPUs were plugged: {wrong}", guest.name)
