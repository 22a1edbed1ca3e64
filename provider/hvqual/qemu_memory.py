# SPDX-License-Identifier: GPL-2.0-or-later
"""
Plugging and unplugging DIMMs below libvirt, through QEMU's monitor, held against QEMU, host and guest.

What is observed has the names of the same through libvirt (`operations.memory_hotplug`), so that a fault can be placed above or below it.
"""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Any, Callable

from provider.hvqual import guest_memory, memory_seen, pattern, pinned
from provider.hvqual.memory_devices import DIMM, Device
from provider.hvqual.steps import fail
from provider.hvqual.wait import WaitTimeoutError, until

if TYPE_CHECKING:
    from provider.hvqual.domain_xml import Spec
    from provider.hvqual.guests import Guest
    from provider.hvqual.pattern import Pattern
    from provider.hvqual.qemu_power import Below

NODE = 1
DELETED, CONFIRMED = "DEVICE_DELETED", "ACPI_DEVICE_OST"
# What the guest's firmware says of a request to eject (ACPI 6, _OST), and with which status it has not (yet) refused: done, in progress.
EJECTION, NOT_REFUSED = (3, 0x103), (0, 0x84)
POLL = 0.1


def params(spec: Spec) -> dict[str, str]:
    """Return the parameters of avocado-vt for a guest into which DIMMs can be plugged, and for its NUMA nodes; none for another."""
    if not spec.growth.slots:
        return {}
    names = [f"node{number}" for number, _ in enumerate(spec.cells)]
    told = {
        "maxmem_mem": f"{spec.growth.max_memory_kib // 1024}M",
        "slots_mem": str(spec.growth.slots),
        "guest_numa_nodes": " ".join(names),
        "mem_devs": " ".join(names),
    }
    for number, (name, cell) in enumerate(zip(names, spec.cells)):
        told[f"numa_nodeid_{name}"] = str(number)
        told[f"numa_memdev_{name}"] = f"mem-{name}"
        told[f"size_mem_{name}"] = f"{cell.memory_kib // 1024}M"
        told[f"use_mem_{name}"] = "no"
        if cell.cpus:
            told[f"numa_cpus_{name}"] = ",".join(map(str, cell.cpus))
    return told


def plug(guest: Guest, below: Below, size_kib: int) -> Device:
    """
    Plug a DIMM (object-add, device_add); observe plug_time (s) until the guest can use all of it, dimm_exact and guest_gain_error (ratio).

    Observe plug_confirmed too: the guest's firmware told QEMU that it has taken it.
    """
    record = below.record
    with record.step("plug DIMM", guest.name):
        before, mapped = guest_memory.told(guest), memory_seen.mapped(guest, below, size_kib)
        name = f"dimm{len(guest.spec.plugged_kib)}"
        backend = {"qom-type": "memory-backend-ram", "id": f"mem{name}", "size": size_kib * 1024}
        dimm = {"driver": "pc-dimm", "id": name, "memdev": f"mem{name}", "node": NODE}
        guest.vm.monitor.clear_events()
        called = below.act(guest, "take a DIMM's memory for", lambda: guest.vm.monitor.cmd("object-add", backend))
        below.act(guest, "plug a DIMM into", lambda: guest.vm.monitor.cmd("device_add", dimm))
        spec = guest.spec
        plugged = (*spec.plugged_kib, size_kib)
        guest.becomes(dataclasses.replace(spec, memory_kib=spec.memory_kib + size_kib, plugged_kib=plugged))
        device = sizes(guest, below)[-1]
        if memory_seen.mapped(guest, below, size_kib) != mapped + 1:
            message = f"'{guest.name}' has a DIMM of {size_kib} KiB by QEMU's word; its process maps no memory for it."
            fail(record, "wrong-result", message, guest.name)
        memory_seen.usable(guest, below, device, before)
        record.observe("plug_time", time.monotonic() - called, "s", guest.name)
        record.observe("dimm_exact", True, "bool", guest.name)  # noqa: FBT003 - it is the value
        told = told_event(guest, below, CONFIRMED, name)
        record.observe("plug_confirmed", told["status"] == 0, "bool", guest.name)
    return device


def hold(guest: Guest, below: Below, device: Device, mib: int) -> Pattern:
    """Have the guest hold a pattern of *mib* in the DIMM (`memory_seen.hold_in`)."""
    return memory_seen.hold_in(guest, below, device.node, memory_seen.blocks_of([device]), mib=mib)


def unplug(guest: Guest, below: Below, device: Device, held: Pattern) -> None:
    """
    Unplug the DIMM with the guest's consent (device_del, object-del); observe unplug_time (s), and what `memory_seen.gone` does.

    Observe pattern_kept: what lay in it the guest has elsewhere.
    """
    record, size = below.record, device.size_kib
    with record.step("unplug DIMM", guest.name):
        before, mapped = guest_memory.told(guest), memory_seen.mapped(guest, below, size)
        guest.vm.monitor.clear_events()
        called = _delete(guest, below, device)
        told_event(guest, below, DELETED, device.alias)
        record.observe("unplug_time", time.monotonic() - called, "s", guest.name)
        backend = {"id": f"mem{device.alias}"}
        below.act(guest, "give a DIMM's memory back of", lambda: guest.vm.monitor.cmd("object-del", backend))
        spec, left = guest.spec, list(guest.spec.plugged_kib)
        left.remove(size)
        guest.becomes(dataclasses.replace(spec, memory_kib=spec.memory_kib - size, plugged_kib=tuple(left)))
        sizes(guest, below)
        memory_seen.gone(guest, below, device, before)
        memory_seen.unmapped(guest, below, device, mapped)
    with record.step("find pattern", guest.name):
        pattern.kept(guest, record, held)


def refused(guest: Guest, below: Below, device: Device, mib: int) -> None:
    """
    Have the guest's kernel use the DIMM for what it cannot move, and ask for it; observe refusal_told and refusal_kept (bool).

    QEMU must tell that the guest's firmware refuses, and everybody must still have the DIMM.
    """
    record = below.record
    with record.step("pin DIMM", guest.name):
        pinned.for_the_kernel(guest, guest_memory.told(guest).within(device.base, device.size_kib))
        pinned.pin(guest, pinned.KERNEL, NODE, mib)
    with record.step("unplug what is in use", guest.name):
        before = guest_memory.told(guest)
        guest.vm.monitor.clear_events()
        _delete(guest, below, device)
        told_event(guest, below, CONFIRMED, device.alias, is_refusal)
        record.observe("refusal_told", not _told(guest, DELETED, device.alias), "bool", guest.name)
        after = guest_memory.told(guest)
        kept = after == before and device in sizes(guest, below)
        record.observe("refusal_kept", kept, "bool", guest.name)
        if not kept:
            message = f"'{guest.name}' refused to give '{device.alias}'; yet its memory was {before} and is {after}."
            fail(record, "wrong-result", message, guest.name)


def sizes(guest: Guest, below: Below) -> list[Device]:
    """Expect that QEMU tells the memory of the model, by its sum and by its list; return the DIMMs in the order of their addresses."""
    spec, monitor = guest.spec, guest.vm.monitor
    told = monitor.cmd("query-memory-size-summary")
    rows = [one["data"] for one in monitor.cmd("query-memory-devices") if one["type"] == DIMM]
    found = [Device(one["id"], DIMM, one["size"] // 1024, one["node"], one["addr"]) for one in rows]
    summed = (told["base-memory"] // 1024, told.get("plugged-memory", 0) // 1024)
    wanted = (spec.boot_kib, sum(spec.plugged_kib))
    listed = sorted((one.size_kib, one.node) for one in found)
    if summed != wanted or listed != sorted((size, NODE) for size in spec.plugged_kib):
        message = (
            f"'{guest.name}' should have (KiB, plugged KiB) {wanted} in DIMMs of {spec.plugged_kib} in node {NODE}; QEMU sums it "
            f"up to {summed} and lists (KiB, node) {listed}."
        )
        fail(below.record, "wrong-result", message, guest.name)
    return sorted(found, key=_base)


def _base(device: Device) -> int:
    return device.base


def _delete(guest: Guest, below: Below, device: Device) -> float:
    return below.act(guest, "unplug a DIMM of", lambda: guest.vm.monitor.cmd("device_del", {"id": device.alias}))


def _told(guest: Guest, name: str, device: str) -> list[dict[str, Any]]:
    """Return what the events *name* said of *device*, in their order."""
    told = [event.get("data", {}) for event in guest.vm.monitor.get_events() if event["event"] == name]
    return [
        data.get("info", data) for data in told if device in {data.get("device"), data.get("info", {}).get("device")}
    ]


def told_event(
    guest: Guest,
    below: Below,
    name: str,
    device: str,
    wanted: Callable[[dict[str, Any]], bool] = lambda _: True,
) -> dict[str, Any]:
    """Expect QEMU to tell the event *name* of *device*, with what is *wanted* in it; return what it said."""

    def seen() -> dict[str, Any]:
        return next((data for data in _told(guest, name, device) if wanted(data)), {})

    try:
        return until(seen, guest.wanted.operation_timeout, name, interval=POLL)
    except WaitTimeoutError:
        told = guest.vm.monitor.get_events()
        message = f"QEMU should have told {name} of '{device}' of '{guest.name}'; it told {told or 'nothing'}."
        fail(below.record, "wrong-result", message, guest.name)


def is_refusal(data: dict[str, Any]) -> bool:
    """Whether the guest's firmware says that what it was to eject it does not."""
    return data.get("source") in EJECTION and data.get("status") not in NOT_REFUSED
