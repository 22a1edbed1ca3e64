# SPDX-License-Identifier: GPL-2.0-or-later
"""The DIMMs of a case's guests and the pattern that each guest holds in them, through everything that is done to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from avocado.core.exceptions import TestError

from provider.hvqual import guest_memory, memory_devices, memory_seen, pattern, pinned
from provider.hvqual.host_config import Shape
from provider.hvqual.memory_devices import Device
from provider.hvqual.operations import balloon, memory_hotplug

if TYPE_CHECKING:
    from provider.hvqual.expect import Expect
    from provider.hvqual.guests import Guest
    from provider.hvqual.pattern import Pattern

# The NUMA node of a guest into which DIMMs are plugged (`memory_devices.roomy`).
NODE = 1


class Wanted(Protocol):
    """How many DIMMs of which size, the size of the NUMA node for them, and of the pattern that they hold (MiB)."""

    @property
    def dimms(self) -> int:
        """The most that a guest gets."""

    @property
    def dimm_mib(self) -> int:
        """The size of each."""

    @property
    def node_mib(self) -> int:
        """What the NUMA node has without them."""

    @property
    def pattern_mib(self) -> int:
        """The size of the pattern; a guest must have so much free without them, where they are to be unplugged."""


@dataclass(frozen=True)
class Held:
    """A pattern, and the boot that it was laid in: no memory outlives a boot."""

    pattern: Pattern
    boot_id: str


class Dimms:
    """The DIMMs of a case."""

    def __init__(self, wanted: Wanted) -> None:
        """Plug as *wanted* says; nothing is plugged yet."""
        self.wanted = wanted
        self.held: dict[str, Held] = {}
        self.bare_kib: dict[str, int] = {}

    def roomy(self, shape: Shape) -> Shape:
        """Return the shape with room for the DIMMs."""
        most = self.wanted.dimms * self.wanted.dimm_mib * 1024
        return memory_devices.roomy(shape, self.wanted.dimms, most, self.wanted.node_mib * 1024)

    def plug(self, guest: Guest, expect: Expect) -> None:
        """Plug one DIMM; with its first one the guest holds a pattern in it. Observe what `memory_hotplug` does."""
        first = not self.of(guest, expect)
        memory_hotplug.plug(guest, expect, self.wanted.dimm_mib * 1024, NODE)
        if first:
            laid = memory_hotplug.hold(guest, expect, self.of(guest, expect), self.wanted.pattern_mib)
            self.held[guest.name] = Held(laid, _boot(guest))

    def plug_all(self, guest: Guest, expect: Expect) -> None:
        """Plug as many as the guest has room for."""
        for _ in range(self.wanted.dimms):
            self.plug(guest, expect)

    def unplug(self, guest: Guest, expect: Expect) -> None:
        """Unplug the DIMM that was plugged last; what lay in it the guest has elsewhere: observe pattern_kept."""
        memory_hotplug.unplug(guest, expect, self.of(guest, expect)[-1])
        self.found_again(guest, expect)

    def unplug_all(self, guest: Guest, expect: Expect) -> None:
        """Unplug every DIMM that the guest has."""
        for _ in self.of(guest, expect):
            self.unplug(guest, expect)

    def refused(self, guest: Guest, expect: Expect) -> None:
        """Plug a DIMM, have the guest's kernel use it for what it cannot move, and ask for it (`memory_hotplug.refused`)."""
        device = memory_hotplug.plug(guest, expect, self.wanted.dimm_mib * 1024, NODE)
        with expect.record.step("pin DIMM", guest.name):
            memory = guest_memory.told(guest)
            pinned.for_the_kernel(guest, memory.within(device.base, device.size_kib))
            pinned.pin(guest, pinned.KERNEL, NODE, self.wanted.pattern_mib)
        memory_hotplug.refused(guest, expect, device)
        self.found_again(guest, expect)

    def found_again(self, guest: Guest, expect: Expect) -> None:
        """Observe pattern_kept: the guest finds its pattern again."""
        held = self.held.get(guest.name)
        if held is None:
            message = f"'{guest.name}' was never given a pattern to hold; this is a fault of the test."
            raise TestError(message)
        with expect.record.step("find pattern", guest.name):
            pattern.kept(guest, expect.record, held.pattern)

    def begin(self, guest: Guest, expect: Expect) -> None:
        """Keep what the guest's kernel has without any DIMM: what it has with some is held against it by `as_foretold`."""
        memory_hotplug.sizes(guest, expect)
        self.bare_kib[guest.name] = guest_memory.told(guest).total_kib

    def as_foretold(self, guest: Guest, expect: Expect) -> None:
        """
        Expect libvirt, host and guest to have the memory of the model, with its DIMMs and its balloon; observe memory_error (ratio).

        The pattern is there as long as the boot that it was laid in; in another one it is laid anew, if there is a DIMM for it.
        """
        with expect.record.step("compare memory", guest.name):
            memory_hotplug.sizes(guest, expect)
            memory_seen.backing(guest, expect)
            spec = guest.spec
            wanted = self.bare_kib[guest.name] + sum(spec.plugged_kib) - spec.ballooned_kib
            error = abs(balloon.settled(guest, expect, wanted) - wanted) / wanted
            expect.record.observe("memory_error", error, "ratio", guest.name)
        held = self.held.get(guest.name)
        if held is not None and held.boot_id == _boot(guest):
            self.found_again(guest, expect)
        elif spec.plugged_kib:
            self._anew(guest, expect)
        else:
            self.held.pop(guest.name, None)

    def _anew(self, guest: Guest, expect: Expect) -> None:
        """Have the guest hold another pattern in its DIMMs, which it wrote to before it booted; observe pattern_placed."""
        laid = lay(guest, expect, self.of(guest, expect), self.wanted.pattern_mib)
        self.held[guest.name] = Held(laid, _boot(guest))

    def of(self, guest: Guest, expect: Expect) -> list[Device]:
        """Return the DIMMs that the running guest has, in the order in which they were plugged."""
        return memory_devices.dimms(expect.truth, guest.name)


def lay(guest: Guest, expect: Expect, devices: Sequence[Device], mib: int) -> Pattern:
    """Have the guest hold a pattern of *mib* in DIMMs, written to before or not; observe pattern_placed (ratio)."""
    with expect.record.step("hold pattern", guest.name):
        laid = pattern.lay(guest, mib, NODE)
        memory_seen.placed_in(guest, expect, memory_seen.blocks_of(devices))
    return laid


def _boot(guest: Guest) -> str:
    return "" if guest.witness.armed is None else guest.witness.armed.boot_id
