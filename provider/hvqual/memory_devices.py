# SPDX-License-Identifier: GPL-2.0-or-later
"""The memory devices of a domain (DIMM, virtio-mem): what is asked of libvirt, and what its live XML says is there."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from provider.hvqual.domain_xml import Cell
from provider.hvqual.host_config import Shape

if TYPE_CHECKING:
    from provider.hvqual.libvirt_truth import Libvirt

DIMM, VIRTIO_MEM = "dimm", "virtio-mem"


@dataclass(frozen=True)
class Device:
    """One memory device of a running domain."""

    alias: str
    model: str
    size_kib: int
    node: int
    base: int
    """The guest's physical address of its first byte, 0 where libvirt does not tell it."""
    requested_kib: int = 0
    current_kib: int = 0
    xml: str = ""
    """As libvirt writes it: what it takes back when the device is to go."""

    @property
    def aliases(self) -> tuple[str, ...]:
        """The names by which libvirt's events call it: libvirt 9.0 tells a plugged one by its backend's."""
        return self.alias, f"mem{self.alias}"


def roomy(shape: Shape, slots: int, most_kib: int, node_kib: int) -> Shape:
    """
    Return the shape with room for *slots* DIMMs of *most_kib* together, and a second NUMA node of *node_kib* to plug them into.

    That node is there from the boot on, has no CPU, and is taken off the first one's memory; where *node_kib* is 0 there is none.
    """
    growth = dataclasses.replace(shape.growth, max_memory_kib=shape.memory_kib + most_kib, slots=slots)
    if not node_kib:
        return dataclasses.replace(shape, growth=growth)
    near = Cell(tuple(range(max(shape.vcpus, shape.growth.max_vcpus))), shape.memory_kib - node_kib)
    return dataclasses.replace(shape, cells=(near, Cell((), node_kib)), growth=growth)


def dimm_xml(size_kib: int, node: int, page_kib: int = 0) -> str:
    """Return what libvirt is asked for: a DIMM in the guest's NUMA node *node*, in huge pages of *page_kib* if that is not 0."""
    source = f"<source><pagesize unit='KiB'>{page_kib}</pagesize></source>" if page_kib else ""
    target = f"<target><size unit='KiB'>{size_kib}</size><node>{node}</node></target>"
    return f"<memory model='{DIMM}'>{source}{target}</memory>\n"


def virtio_mem_xml(size_kib: int, node: int, block_kib: int) -> str:
    """Return what libvirt is asked for: a virtio-mem device that can give *size_kib* in steps of *block_kib*, and gives nothing yet."""
    sizes = f"<size unit='KiB'>{size_kib}</size><node>{node}</node><block unit='KiB'>{block_kib}</block>"
    return f"<memory model='{VIRTIO_MEM}'><target>{sizes}<requested unit='KiB'>0</requested></target></memory>\n"


def of(truth: Libvirt, name: str) -> list[Device]:
    """Return the memory devices of the running domain *name*, in the order of its live XML."""
    return [_device(one) for one in truth.xml(name).iterfind("devices/memory")]


def dimms(truth: Libvirt, name: str) -> list[Device]:
    """Return the DIMMs that a running guest has, in the order in which they were plugged."""
    return [one for one in of(truth, name) if one.model == DIMM]


def _device(xml: ET.Element) -> Device:
    alias, address = xml.find("alias"), xml.find("address")
    place = "" if address is None else address.get("base", "")
    return Device(
        alias="" if alias is None else str(alias.get("name")),
        model=str(xml.get("model")),
        size_kib=int(xml.findtext("target/size", "0")),
        node=int(xml.findtext("target/node", "0")),
        base=int(place, 16) if place else 0,
        requested_kib=int(xml.findtext("target/requested", "0")),
        current_kib=int(xml.findtext("target/current", "0")),
        xml=ET.tostring(xml, encoding="unicode"),
    )
