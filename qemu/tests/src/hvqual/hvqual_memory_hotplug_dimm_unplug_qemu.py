# SPDX-License-Identifier: GPL-2.0-or-later
"""
A DIMM is unplugged through QEMU's monitor with the guest's consent; a guest that refuses says so, and keeps it.

Twin of ``hvqual.memory.hotplug.dimm_unplug``.
"""

from dataclasses import dataclass

from provider.hvqual.case import case
from provider.hvqual.qemu_dimms import QemuDimms
from provider.hvqual.qemu_guests import described


@dataclass(frozen=True)
class DimmUnplug:
    """How many DIMMs of which size, the size of the NUMA node for them, and of the pattern that they hold (MiB)."""

    dimms: int
    dimm_mib: int
    node_mib: int
    pattern_mib: int


def run(test, params, env):
    """
    1. Have guests with DIMMs plugged that hold a pattern.
    2. Unplug them: gone for QEMU, host and guest, with an event; the guest has moved the pattern, and killed nothing for it.
    3. Plug one again and have the guest's kernel use it for what cannot be moved; ask for it: the refusal is told by an event.
    4. The guest is well, and everybody still has the DIMM.
    """
    with case(test, params, env, DimmUnplug) as it:
        dimms = QemuDimms(it.own)
        with described(it, dimms.roomy) as stand:
            stand.bring_up()
            with stand.watched():
                stand.each(dimms.plug_all)
                stand.each(dimms.unplug_all)
                stand.each(dimms.refused)
                stand.hold()
