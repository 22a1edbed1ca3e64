# SPDX-License-Identifier: GPL-2.0-or-later
"""
A virtio-mem device gives a running guest just as much memory as is asked for, up and down, and says so when it cannot.

Use case ``hvqual.memory.hotplug.virtio_mem``.
"""

from dataclasses import dataclass

from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined
from provider.hvqual.operations import saving
from provider.hvqual.operations.virtio_mem import VirtioMem


@dataclass(frozen=True)
class Sizes:
    """The device, one of its blocks, the NUMA node that it is plugged into, the sizes asked for in turn, and the pattern (MiB)."""

    device_mib: int
    block_mib: int
    node_mib: int
    sizes_mib: tuple[str, ...]
    pattern_mib: int


def run(test, params, env):
    """
    1. Have guests with room for the device; lay canaries; plug it: nothing is given yet.
    2. Ask for one size after the other: libvirt and the guest's kernel have just that in time; a pattern in it is kept.
    3. Save and restore: the device gives what it gave, the pattern is as it was.
    4. Ask for all of it back while a process has some pinned: libvirt and guest tell the same rest; released, all of it goes.
    """
    with case(test, params, env, Sizes) as it:
        device = VirtioMem(it.own)
        with defined(it, device.roomy) as stand:
            stand.bring_up()
            with stand.watched():
                stand.each(device.plug)
                stand.each(device.resized)
            stand.each(saving.saved_and_restored)
            with stand.watched():
                stand.each(device.found_again)
                stand.each(device.partly)
                stand.each(device.found_again)
