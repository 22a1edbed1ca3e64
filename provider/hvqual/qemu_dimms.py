# SPDX-License-Identifier: GPL-2.0-or-later
"""The DIMMs of a case's guests below libvirt, and the pattern that each guest holds in its first one; as `operations.dimms`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provider.hvqual import memory_devices, pattern, qemu_memory

if TYPE_CHECKING:
    from provider.hvqual.guests import Guest
    from provider.hvqual.host_config import Shape
    from provider.hvqual.operations.dimms import Wanted
    from provider.hvqual.pattern import Pattern
    from provider.hvqual.qemu_power import Below


class QemuDimms:
    """The DIMMs of a case."""

    def __init__(self, wanted: Wanted) -> None:
        """Plug as *wanted* says; nothing is plugged yet."""
        self.wanted = wanted
        self.held: dict[str, Pattern] = {}

    def roomy(self, shape: Shape) -> Shape:
        """Return the shape with room for the DIMMs."""
        most = self.wanted.dimms * self.wanted.dimm_mib * 1024
        return memory_devices.roomy(shape, self.wanted.dimms, most, self.wanted.node_mib * 1024)

    def plug_all(self, guest: Guest, below: Below) -> None:
        """Plug as many as the guest has room for; with the first one it holds a pattern in it."""
        for number in range(self.wanted.dimms):
            device = qemu_memory.plug(guest, below, self.wanted.dimm_mib * 1024)
            if not number:
                self.held[guest.name] = qemu_memory.hold(guest, below, device, self.wanted.pattern_mib)

    def unplug_all(self, guest: Guest, below: Below) -> None:
        """Unplug every DIMM that the guest has; what lay in it the guest has elsewhere."""
        for device in reversed(qemu_memory.sizes(guest, below)):
            qemu_memory.unplug(guest, below, device, self.held[guest.name])

    def refused(self, guest: Guest, below: Below) -> None:
        """Plug a DIMM and ask for it while the guest cannot give it (`qemu_memory.refused`)."""
        device = qemu_memory.plug(guest, below, self.wanted.dimm_mib * 1024)
        qemu_memory.refused(guest, below, device, self.wanted.pattern_mib)
        self.found_again(guest, below)

    def found_again(self, guest: Guest, below: Below) -> None:
        """Observe pattern_kept: the guest finds its pattern again."""
        with below.record.step("find pattern", guest.name):
            pattern.kept(guest, below.record, self.held[guest.name])
