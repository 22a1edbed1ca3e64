# SPDX-License-Identifier: GPL-2.0-or-later
"""NUMA nodes of a guest: how they are cut, and what of a guest's word is not what was asked for."""

import dataclasses
import re

import pytest
from avocado.core.exceptions import TestError

from provider.hvqual import cells
from provider.hvqual.domain_xml import Spec
from provider.hvqual.host_config import Shape

MIB = 1024
GUEST = """\
node0 cpus 0-1
node0 distances 10 25
node1 cpus
node1 distances 25 10
Node 0, zone      DMA
        present  3998
Node 0, zone    DMA32
        present  61440
Node 1, zone    DMA32
        present  65500
"""


def spec(shape):
    return Spec("hvq-1", "u", shape.vcpus, shape.memory_kib, (), (), cells=shape.cells, growth=shape.growth)


@pytest.mark.parametrize(("vcpus", "plug", "count"), [(1, 1, 2), (2, 1, 2), (4, 1, 2), (3, 2, 4), (1, 0, 2)])
def test_the_cut_is_even_and_has_room(vcpus, plug, count):
    """Each CPU that may ever be there is in one node, memory is equal, and what is plugged goes to a later node than CPU 0."""
    cut = cells.split(Shape(vcpus, 512 * MIB, (64,)), count, plug, 25)
    every = [cpu for cell in cut.cells for cpu in cell.cpus]
    assert every == list(range(cut.growth.max_vcpus))
    assert len(every) >= vcpus + plug
    assert cut.vcpus == vcpus
    assert {cell.memory_kib for cell in cut.cells} == {cut.memory_kib // count}
    assert all(cell.distances[number] == 10 for number, cell in enumerate(cut.cells))


@pytest.mark.parametrize("count", [0, 600])
def test_a_cut_that_leaves_nothing_is_refused(count):
    with pytest.raises(TestError, match="hv_cells"):
        cells.split(Shape(1, 512 * MIB, (64,)), count, 0, 25)


def test_a_guest_that_has_what_was_asked_for():
    shape = cells.split(Shape(2, 512 * MIB, (64,)), 2, 1, 25)
    assert cells.wrong_with(spec(shape), cells.told(GUEST)) == ""


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("node0 cpus 0-1", "node0 cpus 0", r"CPUs \[0\] in node 0 instead of \[0, 1\]"),
        ("node1 cpus", "node1 cpus 2", r"CPUs \[2\] in node 1 instead of \[\]"),
        ("node1 distances 25 10", "node1 distances 20 10", r"distances \(20, 10\) of node 1"),
        ("present  65500", "present  32768", "131072 KiB in node 1 of 262144"),
        ("present  65500", "present  65537", "262148 KiB in node 1 of 262144"),
        ("node1 cpus\nnode1 distances 25 10\n", "", "1 NUMA nodes instead of 2"),
        (GUEST, "", "0 NUMA nodes instead of 2"),
    ],
)
def test_a_guest_that_has_something_else(old, new, told):
    shape = cells.split(Shape(2, 512 * MIB, (64,)), 2, 1, 25)
    with_one_wrong = cells.told(GUEST.replace(old, new))

    assert re.search(told, cells.wrong_with(spec(shape), with_one_wrong))


def test_a_plugged_cpu_belongs_to_its_node():
    """Once a vCPU is plugged the model wants it in its node, and only there."""
    shape = cells.split(Shape(2, 512 * MIB, (64,)), 2, 1, 25)
    now = dataclasses.replace(spec(shape), vcpus=3)
    assert "in node 1 instead of [2]" in cells.wrong_with(now, cells.told(GUEST))
    assert cells.wrong_with(now, cells.told(GUEST.replace("node1 cpus", "node1 cpus 2"))) == ""
