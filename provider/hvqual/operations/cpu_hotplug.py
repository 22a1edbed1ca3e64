# SPDX-License-Identifier: GPL-2.0-or-later
"""
Plugging vCPUs into a running guest and unplugging them, by their number (`virsh setvcpus`) or each by its id (`virsh setvcpu`).

Each is held against all who can tell (`vcpu_map`), and against what QEMU and the guest's firmware interface say of it (`qemu_events`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Callable

from avocado.core.exceptions import TestBaseException
from virttest import virsh

from provider.hvqual import qemu_events, shares, thread_cgroup, vcpu_ids, vcpu_map
from provider.hvqual.expect import Expect
from provider.hvqual.guest_cpus import GuestCpus
from provider.hvqual.guests import Guest
from provider.hvqual.operations import cpu_aftermath
from provider.hvqual.qemu_events import CONFIRMED, DELETED, Heard
from provider.hvqual.steps import fail
from provider.hvqual.vcpu_ids import Ids
from provider.hvqual.wait import WaitTimeoutError, until

SETTLE = 10.0
# Of ACPI's _OST: what was asked for (a device was put in, is to be ejected), and that it was done.
INSERTED, EJECTED, DONE = 1, (3, 0x103), 0
LIVE, CONFIG, BOTH = "--live", "--config", "--live --config"


def live(guest: Guest) -> Ids:
    """Return the vCPUs of a guest that has the first ones, as many as its model says."""
    return frozenset(range(guest.spec.vcpus))


def config(guest: Guest) -> Ids:
    """Return the vCPUs that the guest's definition gives it at its next start."""
    return frozenset(range((guest.edited or guest.spec).vcpus))


@dataclass(frozen=True)
class Order:
    """What virsh is asked for, the vCPUs that come or go by it, and those that the guest had before."""

    operation: Callable[..., Any]
    asked: str
    option: str
    vcpus: Ids
    had: Ids

    def give(self, guest: Guest, expect: Expect, meanwhile: Callable[[], str] = str) -> float:
        """Give the order; return when (monotonic seconds); when it is refused *meanwhile* tells what others said."""
        return expect.act(self.operation, guest.name, self.asked, self.option, meanwhile=meanwhile)


def plug(guest: Guest, expect: Expect, count: int = 1, where: str = LIVE) -> GuestCpus:
    """
    Plug *count* vCPUs into the running guest, into its definition too by `BOTH`.

    Observe plug_time and vcpu_online_time (s), cpuset_kept, and plug_confirmed: the guest's firmware told QEMU that each was taken in.
    """
    target = guest.spec.vcpus + count
    new = frozenset(range(guest.spec.vcpus, target))
    return _plugged(guest, expect, Order(virsh.setvcpus, str(target), where, new, live(guest)))


def enable(guest: Guest, expect: Expect, vcpu: int, had: Ids) -> GuestCpus:
    """Plug *vcpu* by its id, as libvirt 9.0 takes one at a time, into a guest that *had* others; observe what `plug` does."""
    return _plugged(guest, expect, Order(virsh.setvcpu, str(vcpu), f"--enable {LIVE}", frozenset([vcpu]), had))


def _plugged(guest: Guest, expect: Expect, order: Order) -> GuestCpus:
    """Give the *order*, by which vCPUs come; expect them, alone, beside those that the guest had."""
    record, new = expect.record, order.vcpus
    with record.step("plug", guest.name), qemu_events.heard(expect.truth, guest.name) as heard:
        called = order.give(guest, expect)
        record.observe("plug_time", time.monotonic() - called, "s", guest.name)
        _model(guest, order, order.had | new)
        told = vcpu_map.held(guest, expect, order.had | new, config(guest))
        record.observe("vcpu_online_time", time.monotonic() - called, "s", guest.name)
        confirmed = _seen(lambda: all(_ost(heard, slot, (INSERTED,)) for slot in new))
        record.observe("plug_confirmed", confirmed, "bool", guest.name)
        if not confirmed:
            message = f"'{guest.name}' did not confirm the vCPUs {sorted(new)}; QEMU told: {heard.text()}"
            fail(record, "wrong-result", message, guest.name)
        inherits(guest, expect, new)
    return told


def _model(guest: Guest, order: Order, now: Ids) -> None:
    """Let the model have the vCPUs *now*, its definition too when the order was for both."""
    if order.option == BOTH:
        guest.edited = replace(guest.edited or guest.spec, vcpus=len(now))
    guest.becomes(replace(guest.spec, vcpus=len(now)))


def fill(guest: Guest, expect: Expect) -> None:
    """Plug all that there is room for, into the definition too."""
    plug(guest, expect, guest.spec.most_vcpus - guest.spec.vcpus, BOTH)


def inherits(guest: Guest, expect: Expect, new: Ids) -> None:
    """
    Expect the thread of each plugged vCPU on the host CPUs that the guest's vCPUs have by its definition; observe cpuset_kept.

    By libvirt's word, the thread's own affinity, and its cgroup's.
    """
    infos, maps = expect.truth.lookup(guest.name).vcpus()
    pins = {info[0]: row for info, row in zip(infos, maps)}
    found = vcpu_ids.threads_of(guest.name)
    wrong = []
    for vcpu in sorted(new):
        wanted = {cpu for cpu, may in enumerate(pins[vcpu]) if may}
        inherited = set(guest.spec.tuning.vcpu_cpus) or wanted
        told = (wanted, shares.allowed(found[vcpu]), set(thread_cgroup.of(found[vcpu], "cpuset").cpus()) or inherited)
        if told != (inherited, inherited, inherited):
            wrong.append(f"vCPU {vcpu} (libvirt, its thread, its cgroup) {told} instead of {inherited}")
    expect.record.observe("cpuset_kept", not wrong, "bool", guest.name)
    if wrong:
        fail(
            expect.record,
            "wrong-result",
            f"'{guest.name}' runs what was plugged elsewhere: {'; '.join(wrong)}",
            guest.name,
        )


def unplug(guest: Guest, expect: Expect, count: int = 1, where: str = LIVE) -> GuestCpus:
    """Unplug the last *count* vCPUs of the running guest; observe unplug_time (s), device_removed and unplug_confirmed."""
    target = guest.spec.vcpus - count
    gone = frozenset(range(target, guest.spec.vcpus))
    return _unplugged(guest, expect, Order(virsh.setvcpus, str(target), where, gone, live(guest)))


def disable(guest: Guest, expect: Expect, ids: Iterable[int], had: Ids) -> None:
    """Unplug the vCPUs *ids*, one after the other, of a guest that *had* others too; observe what `unplug` does."""
    for vcpu in sorted(ids):
        _unplugged(guest, expect, Order(virsh.setvcpu, str(vcpu), f"--disable {LIVE}", frozenset([vcpu]), had))
        had -= {vcpu}


def _unplugged(guest: Guest, expect: Expect, order: Order) -> GuestCpus:
    """Give the *order*, by which vCPUs go; expect the rest, and that QEMU told of each device that went."""
    record, gone, left = expect.record, order.vcpus, order.had - order.vcpus
    with record.step("unplug", guest.name), qemu_events.heard(expect.truth, guest.name) as heard:
        try:
            called = order.give(guest, expect, lambda: whose_fault(heard, gone))
        except TestBaseException:
            _explain(guest, expect, heard)
            cpu_aftermath.outlived(guest, expect)
            raise
        _model(guest, order, left)
        told = vcpu_map.held(guest, expect, left, config(guest))
        record.observe("unplug_time", time.monotonic() - called, "s", guest.name)
        confirmed = _seen(lambda: all(_ost(heard, slot, EJECTED) for slot in gone))
        removed = _seen(lambda: all(_deleted(heard, vcpu) for vcpu in gone))
        record.observe("unplug_confirmed", confirmed, "bool", guest.name)
        record.observe("device_removed", removed, "bool", guest.name)
        if not (removed and confirmed):
            message = f"QEMU did not tell that the vCPUs {sorted(gone)} of '{guest.name}' were removed: {heard.text()}"
            fail(record, "wrong-result", message, guest.name)
    return told


def define(guest: Guest, expect: Expect) -> None:
    """Give the guest's definition one vCPU less than it has, and leave what runs; it has those from its next start on."""
    with expect.record.step("define", guest.name):
        count = (guest.edited or guest.spec).vcpus - 1
        expect.act(virsh.setvcpus, guest.name, str(count), CONFIG)
        guest.edited = replace(guest.edited or guest.spec, vcpus=count)
        vcpu_map.held(guest, expect, live(guest), frozenset(range(count)))


def refused(guest: Guest, expect: Expect, operation: Callable[..., Any], asked: str, option: str) -> None:
    """
    Ask for what cannot be; libvirt must say no, in words that name a vCPU or processor and the number; observe refusal_told.

    What the guest has is as before: `vcpu_map.as_modelled` is asked by who asks for several refusals.
    """
    words = f"virsh {operation.__name__} {guest.name} {asked} {option}"
    done = expect.answer(operation, guest.name, asked, option)
    said = done.stderr_text.strip()
    if not done.exit_status:
        fail(expect.record, "wrong-result", f"'{words}' was reported as done; it cannot be.", guest.name)
    told = bool(re.search("vcpu|processor", said, re.IGNORECASE)) and asked in re.findall(r"\d+", said)
    expect.record.observe("refusal_told", told, "bool", guest.name)
    if not told:
        fail(expect.record, "wrong-text", f"'{words}' was refused without saying why: {said!r}", guest.name)


def beyond(guest: Guest, expect: Expect) -> None:
    """Ask for one vCPU more than the guest may have, live and defined: refused both times, and nothing has changed."""
    with expect.record.step("ask for too many", guest.name):
        more = str(guest.spec.most_vcpus + 1)
        for where in (LIVE, CONFIG):
            refused(guest, expect, virsh.setvcpus, more, where)
        vcpu_map.as_modelled(guest, expect)


def first_stays(guest: Guest, expect: Expect) -> None:
    """Ask for no vCPU at all, and for the first one to be unplugged, live and defined: refused, and nothing has changed."""
    with expect.record.step("ask for the first one", guest.name):
        refused(guest, expect, virsh.setvcpus, "0", LIVE)
        for where in (LIVE, CONFIG):
            refused(guest, expect, virsh.setvcpu, "0", f"--disable {where}")
        vcpu_map.as_modelled(guest, expect)


def listed(ids: Iterable[int]) -> str:
    """Return vCPUs as virsh takes a list of them."""
    return ",".join(map(str, sorted(ids)))


def _seen(there: Callable[[], bool]) -> bool:
    """Return whether what is waited for was heard in a while."""
    try:
        return until(there, SETTLE, "QEMU's events")
    except WaitTimeoutError:
        return False


def _ost(heard: Heard, slot: int, sources: Iterable[int]) -> bool:
    """Return whether the guest told of the CPU in *slot* that what it was asked for is done."""
    told = [event.data.get("info", {}) for event in heard.of(CONFIRMED)]
    return any(
        info.get("slot-type") == "CPU"
        and info.get("slot") == str(slot)
        and info.get("status") == DONE
        and info.get("source") in sources
        for info in told
    )


def _deleted(heard: Heard, vcpu: int) -> bool:
    """Return whether QEMU told that the device of the vCPU is gone."""
    return any(str(event.data.get("path", "")).endswith(f"/vcpu{vcpu}") for event in heard.of(DELETED))


def whose_fault(heard: Heard, gone: Ids) -> str:
    """Return a sentence on who did not do his part when the vCPUs *gone* were to go: the guest, QEMU, or libvirt alone."""
    kept = sorted(slot for slot in gone if not _ost(heard, slot, EJECTED))
    untold = sorted(vcpu for vcpu in gone if not _deleted(heard, vcpu))
    if kept:
        return f"The guest was not heard to let go of the vCPUs {kept}."
    if untold:
        return f"The guest let go of them all; QEMU did not tell that the vCPUs {untold} were removed (DEVICE_DELETED)."
    return "The guest let go of them all, and QEMU told that each was removed."


def _explain(guest: Guest, expect: Expect, heard: Heard) -> None:
    """Keep what QEMU told and what each says of the vCPUs, as evidence of an unplug that was refused."""
    text = f"QEMU told:\n{heard.text()}\nvCPUs by each who can tell:\n{vcpu_map.witnesses(guest, expect)}"
    expect.record.evidence(f"unplug-{guest.name}.txt", text, f"who says what of the vCPUs of {guest.name}")
