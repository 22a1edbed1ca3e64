# SPDX-License-Identifier: GPL-2.0-or-later
"""
A PCI device that comes and goes while a guest runs, held against libvirt, QEMU and the guest's own list of devices.

It is a random number generator: no disk, no network hangs on it, and each guest has its driver.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

from virttest import virsh

from provider.hvqual import qemu_events
from provider.hvqual.libvirt_truth import ADDED, REMOVED
from provider.hvqual.steps import fail
from provider.hvqual.wait import WaitTimeoutError, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provider.hvqual.expect import Expect
    from provider.hvqual.guests import Guest

ALIAS = "ua-hvq-rng"
# Its rate is unlike that of the guest's own: libvirt 9.0 looks for what to detach by its make, not by its alias, and takes the first.
DEVICE = (
    f"<rng model='virtio'><rate bytes='65536' period='1000'/><backend model='random'>/dev/urandom</backend>"
    f"<alias name='{ALIAS}'/></rng>\n"
)
VENDOR, RNG = 0x1AF4, 0x1044
"""What a virtio random number generator of a PCI Express machine says of itself."""
LIST = "for it in /sys/bus/pci/devices/*; do echo $(cat $it/vendor $it/device) driver=$(basename $(readlink $it/driver)); done"
FOUND = re.compile(rf"^{VENDOR:#06x} {RNG:#06x} driver=\S+", re.MULTILINE)
SLOTS = "ls /sys/bus/pci/slots | wc -l"


def plug(guest: Guest, expect: Expect) -> None:
    """
    Plug the device; observe guest_slots (count), pci_plug_time (s) until the guest's driver has it, and pci_plugged (bool).

    The slots are those that the guest's own kernel, by its drivers pciehp or acpiphp, offers for hotplug.
    """
    record = expect.record
    with record.step("plug PCI device", guest.name):
        record.observe("guest_slots", int(guest.ask(SLOTS)), "count", guest.name)
        before = _seen(guest, expect)
        called = expect.act(virsh.attach_device, guest.name, str(_file(guest, expect)), flagstr="--live")
        _told(guest, expect, called, ADDED)
        _becomes(guest, expect, tuple(one + 1 for one in before))
        record.observe("pci_plug_time", time.monotonic() - called, "s", guest.name)
        record.observe("pci_plugged", True, "bool", guest.name)  # noqa: FBT003 - it is the value


def unplug(guest: Guest, expect: Expect) -> None:
    """Unplug the device with the guest's consent; observe pci_unplug_time (s) until all have lost it, and pci_unplugged (bool)."""
    record = expect.record
    with record.step("unplug PCI device", guest.name):
        before = _seen(guest, expect)
        called = expect.act(virsh.detach_device, guest.name, str(_file(guest, expect)), flagstr="--live")
        _told(guest, expect, called, REMOVED)
        _becomes(guest, expect, tuple(one - 1 for one in before))
        record.observe("pci_unplug_time", time.monotonic() - called, "s", guest.name)
        record.observe("pci_unplugged", True, "bool", guest.name)  # noqa: FBT003 - it is the value


def _file(guest: Guest, expect: Expect) -> Any:
    file = expect.record.folder / f"{guest.name}-rng.xml"
    file.write_text(DEVICE, encoding="utf-8")
    return file


def _seen(guest: Guest, expect: Expect) -> tuple[int, int, int]:
    """Return how many such devices libvirt's live XML, QEMU's PCI tree and the guest have; in the guest only one with a driver counts."""
    listed = len(expect.truth.xml(guest.name).findall("./devices/rng"))
    tree = qemu_events.asked(expect.truth, guest.name, "query-pci")
    return listed, in_tree(tree), in_guest(guest.ask(LIST))


def in_guest(text: str) -> int:
    """Return how many such devices the guest lists with a driver; one without any is of no use to it."""
    return len(FOUND.findall(text))


def in_tree(buses: list[dict[str, Any]]) -> int:
    """Return how many such devices are on the buses that QEMU tells, and behind their bridges."""
    return sum(_is_rng(device) for bus in buses for device in _devices(bus))


def _devices(bus: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Return the devices of a bus and of every bus behind it."""
    for device in bus.get("devices", ()):
        yield device
        yield from _devices(device.get("pci_bridge", {}))


def _is_rng(device: dict[str, Any]) -> bool:
    return (device["id"]["vendor"], device["id"]["device"]) == (VENDOR, RNG)


def _told(guest: Guest, expect: Expect, since: float, event: str) -> None:
    """Expect libvirt's event about the device."""

    def seen() -> bool:
        return any((one.event, one.detail) == (event, ALIAS) for one in expect.truth.events(guest.name, since))

    try:
        until(seen, expect.timeout, f"'{event}' of '{guest.name}'")
    except WaitTimeoutError:
        told = [(one.event, one.detail) for one in expect.truth.events(guest.name, since)]
        message = f"libvirt should have told '{event}' for '{ALIAS}' of '{guest.name}'; it told {told or 'nothing'}."
        fail(expect.record, "wrong-result", message, guest.name)


def _becomes(guest: Guest, expect: Expect, wanted: tuple[int, ...]) -> None:
    """Expect libvirt, QEMU and the guest each to have so many such devices."""
    now: list[tuple[int, ...]] = []

    def same() -> bool:
        now[:] = [_seen(guest, expect)]
        return now[0] == wanted

    try:
        until(same, expect.timeout, f"the PCI devices of '{guest.name}'", interval=0.2)
    except WaitTimeoutError:
        message = (
            f"libvirt, QEMU and the kernel of '{guest.name}' should have {wanted} random number generators; they have {now[0]}, "
            f"though the operation reported success."
        )
        fail(expect.record, "wrong-result", message, guest.name)
