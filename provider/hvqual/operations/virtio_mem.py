# SPDX-License-Identifier: GPL-2.0-or-later
"""
virtio-mem: a device whose size is asked for while the guest runs, and given by the guest as far as it can.

What libvirt calls current must be what the guest's kernel has; where the guest cannot give all that is asked for, both must say so.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from avocado.core.exceptions import TestError
from virttest import virsh

from provider.hvqual import capability, guest_memory, memory_devices, memory_seen, pattern, pinned
from provider.hvqual.guest_memory import MOVABLE
from provider.hvqual.libvirt_truth import ADDED, REMOVED, RESIZED
from provider.hvqual.memory_devices import VIRTIO_MEM, Device
from provider.hvqual.operations import memory_hotplug
from provider.hvqual.operations.dimms import NODE
from provider.hvqual.steps import fail
from provider.hvqual.wait import WaitTimeoutError, until

if TYPE_CHECKING:
    from provider.hvqual.expect import Expect
    from provider.hvqual.guest_memory import Block, Memory
    from provider.hvqual.guests import Guest
    from provider.hvqual.host_config import Shape
    from provider.hvqual.pattern import Pattern

POLL, STILL = 0.2, 6
CANNOT = ("cannot be unplugged", "not supported", "unsupported")


class Wanted(Protocol):
    """What is asked for (MiB)."""

    @property
    def device_mib(self) -> int:
        """The most that the device can give."""

    @property
    def block_mib(self) -> int:
        """The steps in which it gives."""

    @property
    def node_mib(self) -> int:
        """What the NUMA node that it is plugged into has without it."""

    @property
    def sizes_mib(self) -> tuple[str, ...]:
        """What is asked for, one after the other."""

    @property
    def pattern_mib(self) -> int:
        """The size of the pattern, and of what is pinned; a guest must have so much free without the device."""


@dataclass(frozen=True)
class Change:
    """One change of a device's size, as it came out."""

    requested_kib: int
    current_kib: int
    gain_kib: int
    """What the guest's kernel has more than before."""


def plug(guest: Guest, expect: Expect, wanted: Wanted) -> None:
    """Plug a device that gives nothing yet: libvirt lists it, the guest's driver has it, and the guest has no more memory than before."""
    record = expect.record
    with record.step("plug virtio-mem", guest.name):
        before = guest_memory.told(guest)
        file = record.folder / f"{guest.name}-virtio-mem.xml"
        xml = memory_devices.virtio_mem_xml(wanted.device_mib * 1024, NODE, wanted.block_mib * 1024)
        file.write_text(xml, encoding="utf-8")
        called = expect.act(virsh.attach_device, guest.name, str(file), flagstr="--live")
        device = of(guest, expect)
        memory_hotplug.told_event(guest, expect, called, ADDED, device.aliases)
        driven = "ls /sys/bus/virtio/drivers/virtio_mem 2>/dev/null | grep -c '^virtio[0-9]' || true"
        try:
            until(lambda: guest.ask(driven).split()[-1] == "1", expect.timeout, "the guest's driver", interval=POLL)
        except WaitTimeoutError as error:
            message = f"virtio-mem was plugged into '{guest.name}'; its kernel has no driver on it. {error}"
            fail(record, "wrong-result", message, guest.name)
        after = guest_memory.told(guest)
        if (device.size_kib, device.node, device.current_kib) != (wanted.device_mib * 1024, NODE, 0) or after != before:
            message = (
                f"'{guest.name}' should have a virtio-mem device that gives nothing yet: {device}, {before}, {after}."
            )
            fail(record, "wrong-result", message, guest.name)


class VirtioMem:
    """The device of each guest of a case, and the pattern that the guest holds in it."""

    def __init__(self, wanted: Wanted) -> None:
        """Ask for what *wanted* says; TestError when a size is none."""
        self.wanted = wanted
        self.held: dict[str, Pattern] = {}
        if not wanted.sizes_mib or not all(size.isdigit() for size in wanted.sizes_mib):
            message = f"hv_sizes_mib is '{' '.join(wanted.sizes_mib)}'; give whole numbers of MiB."
            raise TestError(message)

    def roomy(self, shape: Shape) -> Shape:
        """Return the shape with room for the device."""
        return memory_devices.roomy(shape, 1, self.wanted.device_mib * 1024, self.wanted.node_mib * 1024)

    def plug(self, guest: Guest, expect: Expect) -> None:
        """Plug the device (`plug`)."""
        plug(guest, expect, self.wanted)

    def resized(self, guest: Guest, expect: Expect) -> None:
        """Ask for one size after the other (`resize`); the guest holds a pattern from the first on, and finds it again after each."""
        for size in self.wanted.sizes_mib:
            resize(guest, expect, int(size))
            if guest.name not in self.held:
                self.held[guest.name] = hold(guest, expect, self.wanted.pattern_mib)
            self.found_again(guest, expect)

    def found_again(self, guest: Guest, expect: Expect) -> None:
        """Observe pattern_kept: the guest finds its pattern again."""
        with expect.record.step("find pattern", guest.name):
            pattern.kept(guest, expect.record, self.held[guest.name])

    def partly(self, guest: Guest, expect: Expect) -> None:
        """Ask for everything back while some of it is in use (`partly`)."""
        partly(guest, expect, self.wanted)

    def empty(self, guest: Guest, expect: Expect) -> None:
        """Ask for everything back."""
        resize(guest, expect, 0)

    def unplug(self, guest: Guest, expect: Expect) -> None:
        """Unplug the device (`unplug`)."""
        unplug(guest, expect)


def of(guest: Guest, expect: Expect) -> Device:
    """Return the guest's one virtio-mem device; expect that there is one."""
    found = [one for one in memory_devices.of(expect.truth, guest.name) if one.model == VIRTIO_MEM]
    if len(found) != 1:
        message = (
            f"'{guest.name}' should have one virtio-mem device; its XML has {[one.alias for one in found] or 'none'}."
        )
        fail(expect.record, "wrong-result", message, guest.name)
    return found[0]


def resize(guest: Guest, expect: Expect, mib: int) -> None:
    """Ask for *mib*; expect the guest to give just that: observe resize_time (s), size_reached (bool) and resize_error (ratio)."""
    with expect.record.step("resize", guest.name):
        called, asked = time.monotonic(), mib * 1024
        before, change = of(guest, expect).current_kib, _ask(guest, expect, asked)
        expect.record.observe("resize_time", time.monotonic() - called, "s", guest.name)
        reached = change.requested_kib == change.current_kib == asked
        expect.record.observe("size_reached", reached, "bool", guest.name)
        if not reached:
            message = (
                f"'{guest.name}' was asked for {asked} KiB of virtio-mem; in {expect.timeout:g} s it came to {change}."
            )
            fail(expect.record, "wrong-result", message, guest.name)
        error = abs(change.gain_kib - (asked - before)) / max(1, abs(asked - before))
        expect.record.observe("resize_error", error, "ratio", guest.name)


def partly(guest: Guest, expect: Expect, wanted: Wanted) -> None:
    """
    Ask for everything back while a process of the guest has some of it pinned; observe partial_told (bool).

    libvirt must go on to say that 0 is requested and how much is left, which is what the guest's kernel has. Once it is released, asking
    again gets all of it.
    """
    record = expect.record
    with record.step("resize what is in use", guest.name):
        pinned.pin(guest, pinned.USER, NODE, wanted.pattern_mib)
        before = of(guest, expect).current_kib
        change = _ask(guest, expect, 0, gives_up=True)
        left = before + change.gain_kib
        if not (left or change.current_kib):
            message = f"'{guest.name}' gave everything back with {wanted.pattern_mib} MiB of its node pinned: not in the device."
            raise TestError(message)
        told = change.requested_kib == 0 and change.current_kib == left
        record.observe("partial_told", told, "bool", guest.name)
        if not told:
            message = f"'{guest.name}' could give only a part: its kernel has {left} KiB of the device left, libvirt says {change}."
            fail(record, "wrong-result", message, guest.name)
        pinned.release(guest)
    resize(guest, expect, wanted.block_mib)
    resize(guest, expect, 0)


def hold(guest: Guest, expect: Expect, mib: int) -> Pattern:
    """Have the guest hold a pattern of *mib* in the device; observe pattern_placed and pattern_backed (ratio). Return it."""
    size = of(guest, expect).size_kib

    def blocks(memory: Memory) -> list[Block]:
        # What the guest booted with is not movable.
        return [one for one in memory.blocks if one.node == NODE and one.zones == MOVABLE]

    return memory_seen.hold_in(guest, expect, NODE, blocks, mib=mib, beside_kib=(size,))


def unplug(guest: Guest, expect: Expect) -> None:
    """
    Unplug the device, which gives nothing any more; observe device_gone (bool).

    The case is cancelled with libvirt's own words where this libvirt and QEMU cannot unplug such a device and say so.
    """
    record = expect.record
    with record.step("unplug virtio-mem", guest.name):
        device = of(guest, expect)
        file = record.folder / f"{guest.name}-{device.alias}.xml"
        file.write_text(device.xml, encoding="utf-8")
        called = time.monotonic()
        done = virsh.detach_device(
            guest.name, str(file), flagstr="--live", uri=expect.uri, ignore_status=True, timeout=expect.timeout
        )
        said = done.stderr_text.strip()
        if done.exit_status and any(words in said for words in CANNOT):
            capability.require("unplug of virtio-mem devices", said.splitlines()[-1], record, ok=False)
        if done.exit_status:
            message = (
                f"'{device.alias}' of '{guest.name}' gives nothing and should be unplugged; libvirt refused: {said}"
            )
            fail(record, "operation-refused", message, guest.name)
        memory_hotplug.told_event(guest, expect, called, REMOVED, device.aliases)
        left = [one.alias for one in memory_devices.of(expect.truth, guest.name) if one.model == VIRTIO_MEM]
        record.observe("device_gone", not left, "bool", guest.name)
        if left:
            message = f"'{device.alias}' was unplugged from '{guest.name}', libvirt told so; its XML still has {left}."
            fail(record, "wrong-result", message, guest.name)


def _ask(guest: Guest, expect: Expect, asked_kib: int, *, gives_up: bool = False) -> Change:
    """
    Ask for a size and return what came of it, as soon as libvirt and the guest both have it.

    A guest that may give up is not waited for when it does not come nearer.

    Where the size changed, libvirt must have told the new one by its event.
    """
    device, memory = of(guest, expect), guest_memory.told(guest)
    options = f"--alias {device.alias} --requested-size {asked_kib}KiB --live"
    called = expect.act(virsh.update_memory_device, guest.name, options)
    seen: list[Change] = []

    def settled() -> bool:
        now = of(guest, expect)
        gain = guest_memory.told(guest).total_kib - memory.total_kib
        seen.append(Change(now.requested_kib, now.current_kib, gain))
        # A guest that gives what it can, and then no more for a while, has done so.
        stands = (
            gives_up and now.current_kib != device.current_kib and len(seen) > STILL and len(set(seen[-STILL:])) == 1
        )
        return stands or (now.current_kib == asked_kib and gain == now.current_kib - device.current_kib)

    with contextlib.suppress(WaitTimeoutError):
        # What it came to instead is the caller's to judge.
        until(settled, expect.timeout, f"{asked_kib} KiB of virtio-mem in '{guest.name}'", interval=POLL)
    change = seen[-1]
    if change.current_kib != device.current_kib:
        memory_hotplug.told_event(guest, expect, called, RESIZED, [f"{device.alias} {change.current_kib}"])
    return change
