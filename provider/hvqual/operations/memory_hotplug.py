# SPDX-License-Identifier: GPL-2.0-or-later
"""
DIMMs that come and go while a guest runs: each is held against libvirt, the host and the guest's own kernel.

Plugged is what the guest can use, in the node that was asked for; unplugged is what is gone for all three. A refusal of the guest
is told apart from a success that is none.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from virttest import virsh

from provider.hvqual import guest_memory, memory_devices, memory_seen
from provider.hvqual.libvirt_truth import ADDED, REMOVAL_FAILED, REMOVED
from provider.hvqual.memory_devices import DIMM, Device
from provider.hvqual.steps import fail
from provider.hvqual.wait import WaitTimeoutError, until

if TYPE_CHECKING:
    from provider.hvqual.expect import Expect
    from provider.hvqual.guests import Guest
    from provider.hvqual.libvirt_truth import Event
    from provider.hvqual.pattern import Pattern

REFUSAL = "rejected by the guest"
POLL = 0.1


def plug(guest: Guest, expect: Expect, size_kib: int, node: int, page_kib: int = 0) -> Device:
    """
    Plug a DIMM of *size_kib* into the guest's NUMA node *node*, its backend in huge pages of *page_kib* if that is not 0.

    Observe plug_time (s) from the call until the guest can use all of it, dimm_exact (bool) and guest_gain_error (ratio).
    """
    record = expect.record
    with record.step("plug DIMM", guest.name):
        before, mapped = guest_memory.told(guest), memory_seen.mapped(guest, expect, size_kib)
        known = {one.alias for one in memory_devices.of(expect.truth, guest.name)}
        file = record.folder / f"{guest.name}-dimm.xml"
        file.write_text(memory_devices.dimm_xml(size_kib, node, page_kib), encoding="utf-8")
        called = expect.act(virsh.attach_device, guest.name, str(file), flagstr="--live")
        spec = guest.spec
        plugged = (*spec.plugged_kib, size_kib)
        guest.becomes(dataclasses.replace(spec, memory_kib=spec.memory_kib + size_kib, plugged_kib=plugged))
        device = _listed(guest, expect, known, (size_kib, node))
        told_event(guest, expect, called, ADDED, device.aliases)
        if memory_seen.mapped(guest, expect, size_kib) != mapped + 1:
            message = f"'{guest.name}' has a DIMM of {size_kib} KiB by libvirt's word; its QEMU maps no memory for it."
            fail(record, "wrong-result", message, guest.name)
        memory_seen.usable(guest, expect, device, before)
        record.observe("plug_time", time.monotonic() - called, "s", guest.name)
        sizes(guest, expect)
        record.observe("dimm_exact", True, "bool", guest.name)  # noqa: FBT003 - it is the value
    return device


def unplug(guest: Guest, expect: Expect, device: Device) -> None:
    """
    Unplug the DIMM with the guest's consent; observe unplug_time (s) to libvirt's event, guest_loss_error (ratio), guest_ooms (count).

    Afterwards it is gone for libvirt, host and guest alike, and with it no more than it had.
    """
    record, size = expect.record, device.size_kib
    with record.step("unplug DIMM", guest.name):
        before, mapped = guest_memory.told(guest), memory_seen.mapped(guest, expect, size)
        file = record.folder / f"{guest.name}-{device.alias}.xml"
        file.write_text(device.xml, encoding="utf-8")
        called = expect.act(virsh.detach_device, guest.name, str(file), flagstr="--live")
        gone = told_event(guest, expect, called, REMOVED, device.aliases)
        record.observe("unplug_time", gone.at - called, "s", guest.name)
        spec, left = guest.spec, list(guest.spec.plugged_kib)
        left.remove(size)
        guest.becomes(dataclasses.replace(spec, memory_kib=spec.memory_kib - size, plugged_kib=tuple(left)))
        if device.alias in {one.alias for one in memory_devices.of(expect.truth, guest.name)}:
            message = f"'{device.alias}' was unplugged from '{guest.name}', libvirt told so; its XML still has it."
            fail(record, "wrong-result", message, guest.name)
        memory_seen.gone(guest, expect, device, before)
        memory_seen.unmapped(guest, expect, device, mapped)
        sizes(guest, expect)


def refused(guest: Guest, expect: Expect, device: Device) -> None:
    """
    Ask for the DIMM while the guest cannot give it; observe refusal_told (bool) and refusal_kept (bool).

    libvirt must say that the guest refuses, by its answer or by its event, and everybody must still have the DIMM. A success is a lie.
    """
    record = expect.record
    with record.step("unplug what is in use", guest.name):
        before, called = guest_memory.told(guest), time.monotonic()
        file = record.folder / f"{guest.name}-{device.alias}.xml"
        file.write_text(device.xml, encoding="utf-8")
        told = virsh.detach_device(
            guest.name, str(file), flagstr="--live", uri=expect.uri, ignore_status=True, timeout=expect.timeout
        )
        said = told.stderr_text.strip()
        told_event(guest, expect, called, REMOVAL_FAILED, device.aliases)
        good = REFUSAL in said or not told.exit_status
        record.observe("refusal_told", good, "bool", guest.name)
        if not good:
            message = f"The guest '{guest.name}' refused to give '{device.alias}'; libvirt did not say so: {said!r}"
            fail(record, "wrong-text", message, guest.name)
        after = guest_memory.told(guest)
        kept = after == before and device.alias in {one.alias for one in memory_devices.of(expect.truth, guest.name)}
        record.observe("refusal_kept", kept, "bool", guest.name)
        if not kept:
            message = f"'{guest.name}' refused to give '{device.alias}'; yet its memory was {before} and is {after}."
            fail(record, "wrong-result", message, guest.name)
        sizes(guest, expect)


def hold(guest: Guest, expect: Expect, devices: Sequence[Device], mib: int) -> Pattern:
    """Have the guest hold a pattern of *mib* in DIMMs of one node, to which nobody wrote before (`hold_in`)."""
    return memory_seen.hold_in(guest, expect, devices[0].node, memory_seen.blocks_of(devices), mib=mib)


def sizes(guest: Guest, expect: Expect) -> None:
    """Expect that libvirt-python, virsh and its list of devices tell the memory of the model, with its DIMMs and its balloon."""
    spec = guest.spec
    wanted = (spec.memory_kib, spec.memory_kib - spec.ballooned_kib, sorted(spec.plugged_kib))
    seen: list[tuple[object, object]] = []

    def same() -> bool:
        told = dominfo(virsh.dominfo(guest.name, uri=expect.uri, ignore_status=True).stdout_text)
        _, most, now, _, _ = expect.truth.lookup(guest.name).info()
        dimms = sorted(one.size_kib for one in memory_devices.of(expect.truth, guest.name) if one.model == DIMM)
        seen[:] = [((most, now, dimms), told)]
        return (most, now, dimms) == wanted and told == wanted[:2]

    try:
        until(same, expect.timeout, f"the memory of '{guest.name}'", interval=POLL)
    except WaitTimeoutError:
        message = (
            f"'{guest.name}' should have (most KiB, KiB now, DIMMs) {wanted}; libvirt-python says {seen[0][0]}, "
            f"virsh dominfo {seen[0][1]}."
        )
        fail(expect.record, "wrong-result", message, guest.name)


def dominfo(text: str) -> tuple[int, int]:
    """Return what 'virsh dominfo' says of memory (KiB): the most, and now; 0 where it says nothing."""
    told = {key.strip(): value for key, _, value in (line.partition(":") for line in text.splitlines())}
    most, now = ((told.get(key, "").split() or ["0"])[0] for key in ("Max memory", "Used memory"))
    return int(most), int(now)


def _listed(guest: Guest, expect: Expect, known: set[str], wanted: tuple[int, int]) -> Device:
    """Return the one DIMM that was not *known* before; expect it in the live XML with the size and the node *wanted*."""
    fresh = [one for one in memory_devices.of(expect.truth, guest.name) if one.alias not in known]
    if [(one.model, one.size_kib, one.node) for one in fresh] != [(DIMM, *wanted)]:
        message = (
            f"A DIMM of (KiB, node) {wanted} was plugged into '{guest.name}', virsh reported success; new in its XML is "
            f"{[(one.alias, one.model, one.size_kib, one.node) for one in fresh] or 'nothing'}."
        )
        fail(expect.record, "wrong-result", message, guest.name)
    return fresh[0]


def told_event(guest: Guest, expect: Expect, since: float, event: str, details: Sequence[str]) -> Event:
    """Expect libvirt to tell *event* of the guest with one of *details* after *since*; return it."""

    def seen() -> Event | None:
        told = expect.truth.events(guest.name, since)
        return next((one for one in told if one.event == event and one.detail in details), None)

    try:
        return until(seen, expect.timeout, f"'{event}' of '{guest.name}'")  # type: ignore[return-value]
    except WaitTimeoutError:
        told = [(one.event, one.detail) for one in expect.truth.events(guest.name, since)]
        there = [one.alias for one in memory_devices.of(expect.truth, guest.name)]
        message = (
            f"libvirt should have told '{event}' for '{details[0]}' of '{guest.name}'; it told {told or 'nothing'}, and its XML "
            f"has {there or 'no memory device'}."
        )
        fail(expect.record, "wrong-result", message, guest.name)
