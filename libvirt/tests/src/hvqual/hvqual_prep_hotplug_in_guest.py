# SPDX-License-Identifier: GPL-2.0-or-later
"""
Devices can be plugged into guests of this node, which is what the host's hotplug modules were asked for.

Use case ``hvqual.prep.hotplug.modules``, its half in the guest: acpiphp and pciehp do their work there, whatever the host's kernel has.
"""

from dataclasses import dataclass

from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined
from provider.hvqual.operations import pci_hotplug


@dataclass(frozen=True)
class HotplugInGuest:
    """Nothing of its own: the guest and the limits that every case has."""


def run(test, params, env):
    """
    1. Have a guest running, whose kernel offers slots for hotplug.
    2. Plug a PCI device: libvirt, QEMU and a driver of the guest have one more.
    3. Unplug it: all three have lost it; the guest lives on.
    """
    with case(test, params, env, HotplugInGuest) as it, defined(it) as stand:
        stand.bring_up()
        with stand.watched():
            stand.each(pci_hotplug.plug)
            stand.each(pci_hotplug.unplug)
            stand.hold()
