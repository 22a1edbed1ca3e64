# SPDX-License-Identifier: GPL-2.0-or-later
"""
A DIMM that is plugged into a running guest is memory that the guest can use, and that keeps what is written to it.

Use case ``hvqual.memory.hotplug.dimm_plug``.
"""

from dataclasses import dataclass

from provider.hvqual import allocation
from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined
from provider.hvqual.operations import saving
from provider.hvqual.operations.dimms import Dimms


@dataclass(frozen=True)
class DimmPlug:
    """How many DIMMs of which size, the size of the NUMA node for them, and of the pattern that they hold (MiB)."""

    dimms: int
    dimm_mib: int
    node_mib: int
    pattern_mib: int


def run(test, params, env):
    """
    1. Have guests with a NUMA node into which DIMMs can be plugged; lay canaries.
    2. Plug DIMMs: each is online in that node, movable; libvirt, host and guest have neither more nor less than was asked for.
    3. Each guest holds a pattern in them, by its page tables, with as much more memory of the host behind it.
    4. Save and restore: the pattern and the DIMMs are as they were.
    """
    with case(test, params, env, DimmPlug) as it:
        dimms = Dimms(it.own)
        with defined(it, dimms.roomy) as stand:
            stand.bring_up()
            with stand.watched():
                stand.each(dimms.plug_all)
                stand.each(allocation.exact)
            stand.each(saving.saved_and_restored)
            with stand.watched():
                stand.each(dimms.found_again)
                stand.each(allocation.exact)
            stand.each(saving.same_session)
