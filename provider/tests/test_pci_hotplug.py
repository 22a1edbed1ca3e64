# SPDX-License-Identifier: GPL-2.0-or-later
"""Devices are counted where they are, behind bridges too, and in a guest only with a driver."""

import pytest

from provider.hvqual.operations import pci_hotplug

pytestmark = pytest.mark.contract
RNG = {"id": {"vendor": 0x1AF4, "device": 0x1044}}
NIC = {"id": {"vendor": 0x1AF4, "device": 0x1041}}


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("0x1af4 0x1044 driver=virtio-pci", 1),
        ("0x1af4 0x1041 driver=virtio-pci\r\n0x1af4 0x1044 driver=virtio-pci\r\n", 1),
        ("0x1af4 0x1044 driver=virtio-pci\n0x1af4 0x1044 driver=virtio-pci\n0x8086 0x29c0 driver=", 2),
        ("0x1af4 0x1044 driver=", 0),
        ("0x1af4 0x10440 driver=virtio-pci", 0),
        ("0x8086 0x1044 driver=virtio-pci", 0),
    ],
)
def test_a_device_counts_in_the_guest_when_a_driver_has_it(text, count):
    assert pci_hotplug.in_guest(text) == count


def test_a_device_counts_in_qemu_on_a_bus_or_behind_a_bridge():
    bridge = {"id": {"vendor": 0x1B36, "device": 0xC}, "pci_bridge": {"bus": {"number": 1}, "devices": [RNG, NIC]}}
    empty = {"id": {"vendor": 0x1B36, "device": 0xC}, "pci_bridge": {"bus": {"number": 2}}}
    assert pci_hotplug.in_tree([{"bus": 0, "devices": [NIC, bridge, empty]}]) == 1
    assert pci_hotplug.in_tree([{"bus": 0, "devices": [RNG, bridge]}, {"bus": 9, "devices": []}]) == 2
    assert pci_hotplug.in_tree([]) == 0
