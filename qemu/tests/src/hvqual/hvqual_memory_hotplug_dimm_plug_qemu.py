# SPDX-License-Identifier: GPL-2.0-or-later
"""
A DIMM that is plugged into a running guest through QEMU's monitor is memory that the guest can use, and keeps what is written to it.

Twin of ``hvqual.memory.hotplug.dimm_plug``.
"""

from dataclasses import dataclass

from provider.hvqual.case import case
from provider.hvqual.qemu_dimms import QemuDimms
from provider.hvqual.qemu_guests import described


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
    2. Plug DIMMs: each is online in that node, movable; QEMU, host and guest have neither more nor less than was asked for.
    3. Each guest holds a pattern in them, by its page tables, with as much more memory of the host behind it.
    """
    with case(test, params, env, DimmPlug) as it:
        dimms = QemuDimms(it.own)
        with described(it, dimms.roomy) as stand:
            stand.bring_up()
            with stand.watched():
                stand.each(dimms.plug_all)
                stand.hold()
                stand.each(dimms.found_again)
