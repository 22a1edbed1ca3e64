# SPDX-License-Identifier: GPL-2.0-or-later
"""
A virtio-mem device that gives nothing any more is unplugged as a whole.

Use case ``hvqual.memory.hotplug.virtio_mem``; cancelled where libvirt and QEMU say that they cannot.
"""

from dataclasses import dataclass

from provider.hvqual import allocation
from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined
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
    1. Plug the device into the guests and unplug it before it gave anything: gone for libvirt; cancelled where that is refused as unknown.
    2. Plug it again, have it give memory and take that back, and unplug it.
    3. Libvirt, host and guest have what they had without it.
    """
    with case(test, params, env, Sizes) as it:
        device = VirtioMem(it.own)
        with defined(it, device.roomy) as stand:
            stand.bring_up()
            with stand.watched():
                stand.each(device.plug)
                stand.each(device.unplug)
                stand.each(device.plug)
                stand.each(device.resized)
                stand.each(device.empty)
                stand.each(device.unplug)
                stand.each(allocation.exact)
