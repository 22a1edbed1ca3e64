# SPDX-License-Identifier: GPL-2.0-or-later
"""
A guest has the NUMA nodes that it was given: their CPUs, memory and distances, and a CPU that is plugged later.

Use case ``hvqual.cpu.numa.guest_topology``; the host needs no NUMA for it.
"""

from dataclasses import dataclass

from provider.hvqual import allocation, cells
from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined
from provider.hvqual.operations import power


@dataclass(frozen=True)
class GuestTopology:
    """How many NUMA nodes, how far from each other, and how many vCPUs are plugged into the last of them."""

    cells: int
    cell_distance: int
    plug_vcpus: int


def run(test, params, env):
    """
    1. Give each guest NUMA nodes; libvirt, host and guest tell the same of its CPUs and memory, its kernel of the nodes.
    2. Plug vCPUs: they come online in the node in which they were said to be.
    3. Pull the power and start: the nodes are as they were defined.
    """
    with case(test, params, env, GuestTopology) as it:
        own = it.own
        with defined(it, lambda shape: cells.split(shape, own.cells, own.plug_vcpus, own.cell_distance)) as stand:
            stand.bring_up()
            stand.each(cells.as_asked)
            with stand.watched():
                stand.each(cells.plug, own.plug_vcpus)
                stand.each(allocation.exact)
            stand.each(power.destroy)
            stand.each(power.boots_again)
            stand.each(cells.as_asked)
