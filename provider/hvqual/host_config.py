# SPDX-License-Identifier: GPL-2.0-or-later
"""
The host configurations of the requirement's section 6.2: which VMs stand on the node, and what each gets of it.

``single_big``: one VM with all that the node can give. ``n_equal``: n VMs with equal shares. ``patterns``: the cloud's flavors.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from avocado.core.exceptions import TestError

from provider.hvqual import flavors
from provider.hvqual.capability import Capacity
from provider.hvqual.domain_xml import NO_GROWTH, NO_TUNING, Cell, Disk, Growth, Spec, Tuning
from provider.hvqual.params import Guests

# Memory is given in whole huge pages of 2 MiB, so that no share depends on how a size is rounded.
UNIT_KIB = 2048
# The least that the micro guest boots in; a share below it is no VM.
LEAST_KIB = 128 * 1024
NAMESPACE = uuid.UUID("8f0c5f3e-7e0b-4b39-9d3f-2b8f4f0f6d11")


@dataclass(frozen=True)
class Shape:
    """What one VM gets, before it has a name."""

    vcpus: int
    memory_kib: int
    disks_mib: tuple[int, ...]
    nics: int = 1
    iothreads: int = 0
    pins: tuple[int, ...] = ()
    hugepage_kib: int = 0
    flavor: str = ""
    cells: tuple[Cell, ...] = ()
    growth: Growth = NO_GROWTH
    tuning: Tuning = NO_TUNING


def shapes(config: str, wanted: Guests, room: Capacity) -> list[Shape]:
    """Return the VMs of the host configuration *config* on a node with *room*; TestError when they do not fit."""
    if config == "patterns":
        return _patterns(wanted, room)
    count = wanted.vm_count or most(wanted, room)
    share = room.memory_kib // count // UNIT_KIB * UNIT_KIB
    if share < LEAST_KIB:
        message = (
            f"{count} VMs in {room.memory_kib // 1024} MiB leave {share // 1024} MiB to each, less than a guest needs "
            f"({LEAST_KIB // 1024} MiB). Lower hv_vm_count, or raise hv_max_memory_mib."
        )
        raise TestError(message)
    one = Shape(max(1, room.cpus // count), share, (wanted.disk_mib,))
    return [one] * count


def most(wanted: Guests, room: Capacity) -> int:
    """Return how many equal VMs the node takes: a CPU and hv_least_memory_mib each, two at the least."""
    least = max(LEAST_KIB, wanted.least_memory_mib * 1024)
    return max(2, min(room.cpus, room.memory_kib // least))


def _patterns(wanted: Guests, room: Capacity) -> list[Shape]:
    """Return one VM of each flavor; pinned ones take the node's CPUs in turn."""
    found = flavors.load(wanted.flavors, wanted.flavors_only)
    asked = sum(flavor.memory_mib for flavor in found) * 1024
    if asked > room.memory_kib:
        message = (
            f"The flavors of '{wanted.flavors}' take {asked // 1024} MiB together, the node gives "
            f"{room.memory_kib // 1024} MiB. Give flavors that fit the node by hv_flavors."
        )
        raise TestError(message)
    # The reserve is the first CPUs: interrupts and the host's own work are there.
    cpus = itertools.cycle(sorted(os.sched_getaffinity(0))[-room.cpus :])
    return [
        Shape(
            vcpus=flavor.vcpus,
            memory_kib=flavor.memory_mib * 1024,
            disks_mib=flavor.disks_mib,
            nics=flavor.nics,
            iothreads=flavor.iothreads,
            pins=tuple(next(cpus) for _ in range(flavor.vcpus)) if flavor.pinning else (),
            hugepage_kib=flavor.hugepages,
            flavor=flavor.name,
        )
        for flavor in found
    ]


def huge_pages(found: Sequence[Shape]) -> dict[int, int]:
    """Return how many huge pages of each size (KiB) VMs of these shapes need."""
    needed: dict[int, int] = {}
    for shape in found:
        if shape.hugepage_kib:
            pages = -(-shape.memory_kib // shape.hugepage_kib)
            needed[shape.hugepage_kib] = needed.get(shape.hugepage_kib, 0) + pages
    return needed


def specs(found: Sequence[Shape], stem: str, wanted: Guests) -> list[Spec]:
    """
    Return the models of the guests of these shapes, called *stem*-1, *stem*-2, ...

    Identity (uuid, MAC addresses) follows from the name alone: a saved guest of this name can go on in another case.
    """
    return [_spec(shape, f"{stem}-{number}", wanted) for number, shape in enumerate(found, 1)]


def _spec(shape: Shape, name: str, wanted: Guests) -> Spec:
    base = f"{wanted.disk_folder}/{name}"
    return Spec(
        name=name,
        uuid=str(uuid.uuid5(NAMESPACE, name)),
        vcpus=shape.vcpus,
        memory_kib=shape.memory_kib,
        macs=tuple(_mac(name, number) for number in range(shape.nics)),
        disks=tuple(
            Disk(f"{base}{f'-{number}' if number else ''}.{wanted.disk_format}", mib, wanted.disk_format)
            for number, mib in enumerate(shape.disks_mib)
        ),
        flavor=shape.flavor,
        iothreads=shape.iothreads,
        pins=shape.pins,
        hugepage_kib=shape.hugepage_kib,
        cells=shape.cells,
        growth=shape.growth,
        tuning=shape.tuning,
    )


def _mac(name: str, number: int) -> str:
    """Return a MAC address of QEMU's range that belongs to this interface of this guest."""
    digest = hashlib.sha256(f"{name}/{number}".encode()).hexdigest()
    return f"52:54:00:{digest[:2]}:{digest[2:4]}:{digest[4:6]}"
