# SPDX-License-Identifier: GPL-2.0-or-later
"""DIMMs in huge pages of the host for guests whose memory lies in such pages, each with a pattern that the guest holds in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from provider.hvqual import hugepages, memory_devices, pattern
from provider.hvqual.host_config import Shape
from provider.hvqual.operations import dimms, memory_hotplug, page_shortage

if TYPE_CHECKING:
    from provider.hvqual.expect import Expect
    from provider.hvqual.guests import Guest
    from provider.hvqual.pattern import Pattern


class Wanted(Protocol):
    """The size of the pages (KiB), of the DIMM, of the guest's NUMA node for it and of the pattern in it (MiB)."""

    @property
    def page_kib(self) -> int:
        """Of the guest's memory and of the DIMM's."""

    @property
    def dimm_mib(self) -> int:
        """The size of the DIMM."""

    @property
    def node_mib(self) -> int:
        """What the NUMA node has without it."""

    @property
    def pattern_mib(self) -> int:
        """The size of the pattern."""


class HugeDimms:
    """One DIMM for each guest of a case."""

    def __init__(self, wanted: Wanted) -> None:
        """Plug as *wanted* says; nothing is plugged yet."""
        self.wanted = wanted
        self.held: dict[str, Pattern] = {}

    @property
    def size_kib(self) -> int:
        """The size of a DIMM."""
        return self.wanted.dimm_mib * 1024

    @property
    def pages(self) -> int:
        """Huge pages that a DIMM takes."""
        return hugepages.pages(self.size_kib, self.wanted.page_kib)

    def roomy(self, shape: Shape) -> Shape:
        """Return the shape in huge pages, with room for a DIMM."""
        huge = hugepages.backed(shape, self.wanted.page_kib)
        return memory_devices.roomy(huge, 1, self.size_kib, self.wanted.node_mib * 1024)

    def refused(self, guest: Guest, expect: Expect) -> None:
        """Plug a DIMM while a page for it is missing (`page_shortage.plug_refused`); the guest holds exactly what it held."""
        page_shortage.plug_refused(guest, expect, self.size_kib, dimms.NODE, self.wanted.page_kib)
        hugepages.exact(guest, expect)

    def plug(self, guest: Guest, expect: Expect) -> None:
        """Plug the DIMM; observe what `memory_hotplug.plug` does, and pattern_placed (ratio) of the pattern that the guest lays in it."""
        device = memory_hotplug.plug(guest, expect, self.size_kib, dimms.NODE, self.wanted.page_kib)
        self.held[guest.name] = dimms.lay(guest, expect, [device], self.wanted.pattern_mib)

    def unplug(self, guest: Guest, expect: Expect) -> None:
        """Unplug the DIMM; the guest finds its pattern elsewhere: observe pattern_kept (bool)."""
        (device,) = memory_devices.dimms(expect.truth, guest.name)
        memory_hotplug.unplug(guest, expect, device)
        pattern.kept(guest, expect.record, self.held[guest.name])
