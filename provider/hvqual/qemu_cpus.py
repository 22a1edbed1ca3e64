# SPDX-License-Identifier: GPL-2.0-or-later
"""
Plugging and unplugging vCPUs below libvirt, through QEMU's monitor, held against QEMU, host and guest.

What is observed has the names of the same through libvirt (`operations.cpu_hotplug`), so that a fault can be placed above or below it.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from avocado.core.exceptions import TestError
from virttest import qemu_monitor

from provider.hvqual import guest_cpus, vcpu_ids
from provider.hvqual.guest_cpus import GuestCpus
from provider.hvqual.guests import Guest
from provider.hvqual.operations import cpu_work
from provider.hvqual.qemu_power import Below
from provider.hvqual.steps import fail
from provider.hvqual.vcpu_ids import Ids
from provider.hvqual.wait import WaitTimeoutError, until

SETTLE = 20.0
EVENTS = 10.0
GONE = 2.0
"""Seconds for what QEMU tells at once: it says that a device is gone before its guest can say that it gave it away."""
PREFIX = "vcpu"
INSERTED, EJECTED, DONE = 1, (3, 0x103), 0


def slots(guest: Guest) -> dict[int, dict[str, Any]]:
    """Return each vCPU that QEMU says the guest may have, by its number: its properties, its type, and where it is when it is there."""
    told = guest.vm.monitor.cmd("query-hotpluggable-cpus")
    order = sorted(told, key=lambda slot: sorted(slot["props"].items(), key=_rank))
    return dict(enumerate(order))


def _rank(item: tuple[str, int]) -> int:
    return ("node-id", "socket-id", "die-id", "cluster-id", "module-id", "core-id", "thread-id").index(item[0])


def plug(guest: Guest, below: Below, count: int = 1) -> GuestCpus:
    """Plug *count* vCPUs (device_add); observe plug_time, vcpu_online_time (s), plug_confirmed, vcpus_as_asked."""
    record, had = below.record, guest.spec.vcpus
    new = frozenset(range(had, had + count))
    with record.step("plug", guest.name):
        guest.vm.monitor.clear_events()
        called = time.monotonic()
        for vcpu in sorted(new):
            below.act(guest, f"plug vCPU {vcpu} into", lambda vcpu=vcpu: _add(guest, vcpu))  # type: ignore[misc]
        record.observe("plug_time", time.monotonic() - called, "s", guest.name)
        guest.becomes(replace(guest.spec, vcpus=had + count))
        told = held(guest, below)
        record.observe("vcpu_online_time", time.monotonic() - called, "s", guest.name)
        _heard(guest, below, "plug_confirmed", new, (INSERTED,))
    return told


def unplug(guest: Guest, below: Below, count: int = 1) -> GuestCpus:
    """Unplug the last *count* vCPUs (device_del); observe unplug_time (s), unplug_confirmed, device_removed, vcpus_as_asked."""
    record, had = below.record, guest.spec.vcpus
    gone = frozenset(range(had - count, had))
    with record.step("unplug", guest.name):
        guest.vm.monitor.clear_events()
        called = time.monotonic()
        for vcpu in sorted(gone):
            below.act(guest, f"unplug vCPU {vcpu} of", lambda vcpu=vcpu: _delete(guest, f"{PREFIX}{vcpu}"))  # type: ignore[misc]
        guest.becomes(replace(guest.spec, vcpus=had - count))
        told = held(guest, below)
        record.observe("unplug_time", time.monotonic() - called, "s", guest.name)
        _heard(guest, below, "unplug_confirmed", gone, EJECTED)
        _heard(guest, below, "device_removed", gone, ())
    return told


def _add(guest: Guest, vcpu: int) -> None:
    slot = slots(guest)[vcpu]
    guest.vm.monitor.cmd("device_add", {"driver": slot["type"], "id": f"{PREFIX}{vcpu}", **slot["props"]})


def _delete(guest: Guest, device: str) -> None:
    guest.vm.monitor.cmd("device_del", {"id": device})


def held(guest: Guest, below: Below) -> GuestCpus:
    """Expect QEMU (by both of its lists), the host's threads and the guest to have the vCPUs of the model; observe vcpus_as_asked."""
    ids = frozenset(range(guest.spec.vcpus))
    apic, seen, wrong = vcpu_ids.apic_ids(ids, guest.spec), [guest_cpus.told(guest)], []

    def there() -> bool:
        seen.append(guest_cpus.told(guest))
        return frozenset(seen[-1].apic.values()) == apic and len(seen[-1].present) == len(ids)

    try:
        until(there, SETTLE, f"the CPUs of '{guest.name}'", interval=0.1)
    except WaitTimeoutError:
        wrong.append(f"its kernel has the APIC ids {sorted(seen[-1].apic.values())} instead of {sorted(apic)}")
    found = {
        "query-cpus-fast": frozenset(int(cpu["cpu-index"]) for cpu in _asked(guest, "query-cpus-fast")),
        "query-hotpluggable-cpus": frozenset(vcpu for vcpu, slot in slots(guest).items() if "qom-path" in slot),
        "the host's threads": frozenset(vcpu_ids.threads_of(guest.name)),
    }
    wrong += [f"{who}: {sorted(has)} instead of {sorted(ids)}" for who, has in found.items() if has != ids]
    below.record.observe("vcpus_as_asked", not wrong, "bool", guest.name)
    if wrong:
        message = f"'{guest.name}' has not the vCPUs that were asked for; {'; '.join(wrong)}."
        fail(below.record, "wrong-result", message, guest.name)
    return seen[-1]


def _asked(guest: Guest, command: str) -> Any:
    try:
        return guest.vm.monitor.cmd(command)
    except qemu_monitor.MonitorError as error:
        message = f"The monitor of '{guest.name}' does not answer '{command}': {error}"
        raise TestError(message) from None


def _heard(guest: Guest, below: Below, name: str, vcpus: Ids, sources: tuple[int, ...]) -> None:
    """Observe *name*: QEMU told of each of *vcpus* that its guest confirmed what was asked for, or, without *sources*, that it is gone."""

    def there() -> bool:
        events = list(guest.vm.monitor.get_events() or [])
        return all(_ost(events, vcpu, sources) if sources else _deleted(events, vcpu) for vcpu in vcpus)

    try:
        done = until(there, EVENTS if sources else GONE, f"{name} of '{guest.name}'")
    except WaitTimeoutError:
        done = False
    below.record.observe(name, done, "bool", guest.name)
    if not done:
        # A failure, but not the end: whether QEMU lives on shows by what comes after.
        events = [(event["event"], event.get("data")) for event in guest.vm.monitor.get_events() or []]
        message = f"QEMU did not tell of the vCPUs {sorted(vcpus)} of '{guest.name}' ({name}); it told {events}"
        below.record.problem("wrong-result", message, guest.name)


def _ost(events: list[dict[str, Any]], slot: int, sources: tuple[int, ...]) -> bool:
    told = [event["data"]["info"] for event in events if event["event"] == "ACPI_DEVICE_OST"]
    return any(
        info.get("slot-type") == "CPU"
        and info.get("slot") == str(slot)
        and info.get("status") == DONE
        and info.get("source") in sources
        for info in told
    )


def _deleted(events: list[dict[str, Any]], vcpu: int) -> bool:
    told = [event.get("data", {}) for event in events if event["event"] == "DEVICE_DELETED"]
    return any(data.get("device") == f"{PREFIX}{vcpu}" for data in told)


def first_stays(guest: Guest, below: Below) -> None:
    """Ask for the first vCPU to be unplugged: QEMU refuses, and says that it cannot; observe refusal_told."""
    with below.record.step("ask for the first one", guest.name):
        path = str(slots(guest)[0]["qom-path"])
        try:
            _delete(guest, path)
        except qemu_monitor.QMPCmdError as error:
            said = str(error)
        else:
            fail(
                below.record, "wrong-result", f"QEMU takes the first vCPU of '{guest.name}' away ({path}).", guest.name
            )
        told = "hotplug" in said or "unplug" in said
        below.record.observe("refusal_told", told, "bool", guest.name)
        held(guest, below)


def plug_and_load(guest: Guest, below: Below, count: int = 1) -> None:
    """Plug *count* vCPUs into a guest whose CPUs compute; the new ones do so too, and the others go on."""
    new = range(guest.spec.vcpus, guest.spec.vcpus + count)
    told = plug(guest, below, count)
    cpu_work.put_to_work(guest, told.by_apic(vcpu_ids.apic_ids(new, guest.spec)))
    cpu_work.goes_on(guest, below, told.online)


def unplug_under_load(guest: Guest, below: Below, count: int = 1) -> None:
    """Unplug the last *count* vCPUs while they compute; no task is lost: theirs go on elsewhere."""
    gone = range(guest.spec.vcpus - count, guest.spec.vcpus)
    before = guest_cpus.told(guest)
    unplug(guest, below, count)
    cpu_work.goes_on(guest, below, before.online, before.by_apic(vcpu_ids.apic_ids(gone, guest.spec)))
