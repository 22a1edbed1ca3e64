# SPDX-License-Identifier: GPL-2.0-or-later
"""Warm guests go on one by one, and what each does next begins as soon as it is there; who did not go on is no failure of the product."""

from __future__ import annotations

import threading
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from avocado.core.exceptions import TestFail

import libvirt
from provider.hvqual import warm
from provider.hvqual.domain_xml import Tuning
from provider.hvqual.heartbeat import NETWORK
from provider.hvqual.host_config import Shape

PATIENCE = 10.0


class Restoring(warm.Warm):
    """Guests that are restored by a word: 'broken' is what libvirt refuses, 'mute' is what never speaks."""

    def __init__(self, **how: str) -> None:
        super().__init__("f" * 16)
        self.how, self.restored = how, []

    def _restore(self, guest: Any, _stand: Any) -> None:
        if self.how.get(guest.name) == "broken":
            message = "the save file is no save file"
            raise libvirt.libvirtError(message)
        self.restored.append(guest.name)


def stand(it: Restoring, **addresses: str) -> Any:
    """Return guests that speak from *addresses*."""

    def beats(name: str, channel: str, since: float) -> list[Any]:
        assert channel == NETWORK
        assert since > 0
        heard = name in it.restored and it.how.get(name) != "mute"
        return [SimpleNamespace(address=addresses[name])] if heard else []

    return SimpleNamespace(
        guests=[SimpleNamespace(name=name) for name in addresses], observer=SimpleNamespace(beats=beats)
    )


@pytest.fixture(autouse=True)
def _home(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVOCADO_HVQUAL_HOME", str(tmp_path))
    monkeypatch.setattr(warm, "READY", 0.3)


def test_what_is_next_for_a_guest_waits_for_no_other() -> None:
    it, next_done = Restoring(), threading.Event()

    def slow(guest: Any, _stand: Any) -> None:
        assert guest.name == "a" or next_done.wait(PATIENCE), "the login of 'a' waits for the restore of 'b'"
        it.restored.append(guest.name)

    it._restore = slow  # type: ignore[method-assign]
    done: list[str] = []

    def then(guest: Any) -> None:
        done.append(guest.name)
        next_done.set()

    it._go_on(stand(it, a="192.0.2.1", b="192.0.2.2"), then)
    assert sorted(done) == ["a", "b"]


@pytest.mark.parametrize(("how", "told"), [("broken", "no save file"), ("mute", "over the network")])
def test_a_guest_that_does_not_go_on_is_told_and_all_are_booted(how: str, told: str) -> None:
    it = Restoring(b=how)
    done: list[str] = []
    with pytest.raises(warm.WarmError, match=f"'b' does not go on from its save file: .*{told}"):
        it._go_on(stand(it, a="192.0.2.1", b="192.0.2.2"), lambda guest: done.append(guest.name))
    assert done == ["a"]


def refuses(guest: Any) -> None:
    message = f"The guest '{guest.name}' lets nobody log in"
    raise TestFail(message)


def test_a_restored_guest_that_lets_nobody_in_is_a_failure_of_the_product() -> None:
    it = Restoring()
    with pytest.raises(TestFail, match="lets nobody log in"):
        it._go_on(stand(it, a="192.0.2.1", b="192.0.2.2"), refuses)


def test_one_guest_that_is_not_there_outweighs_another_that_lets_nobody_in() -> None:
    it = Restoring(b="broken")
    with pytest.raises(warm.WarmError, match="'b' does not go on"):
        it._go_on(stand(it, a="192.0.2.1", b="192.0.2.2"), refuses)


@pytest.mark.parametrize("then", [print, refuses])
def test_two_guests_with_one_address_are_booted(then: Any) -> None:
    it = Restoring()
    with pytest.raises(warm.WarmError, match="one address"):
        it._go_on(stand(it, a="192.0.2.1", b="192.0.2.1"), then)


GUESTS = SimpleNamespace(disk_format="raw", disk_folder="/d", network="default", qemu_binary="/q", witness_port=5610)
PINS = "<cputune><vcpupin vcpu='0' cpuset='1'/><emulatorpin cpuset='0'/></cputune>"
OTHER = "<cputune><vcpupin vcpu='0' cpuset='0'/></cputune>"


def key(**but: Any) -> str:
    shape = Shape(vcpus=2, memory_kib=131072, disks_mib=(64,))
    return warm.key_of([replace(shape, **but)], GUESTS, ["qemu 7.2"])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "but", [{"pins": (0, 1)}, {"tuning": Tuning(emulator_cpus=(0,))}, {"tuning": Tuning(vcpu_cpus=(0, 1))}]
)
def test_where_a_guest_ran_is_not_in_its_save_file(but: dict[str, Any]) -> None:
    assert key(**but) == key()


@pytest.mark.parametrize(
    "but",
    [
        {"vcpus": 1},
        {"memory_kib": 262144},
        {"hugepage_kib": 2048},
        {"iothreads": 1},
        {"tuning": Tuning(numa_mode="strict")},
    ],
)
def test_what_a_guest_is_is_in_its_save_file(but: dict[str, Any]) -> None:
    assert key(**but) != key()


@pytest.mark.parametrize("saved", ["", PINS, OTHER])
@pytest.mark.parametrize("pins", ["", PINS])
@pytest.mark.parametrize("cpuset", ["", " cpuset='1'"])
def test_a_restored_guest_runs_where_its_definition_says(saved: str, pins: str, cpuset: str) -> None:
    had = "<domain><vcpu placement='static' cpuset='0' current='1'>4</vcpu>" + saved + "<devices/></domain>"
    defined = f"<domain><vcpu placement='static'{cpuset} current='1'>4</vcpu>{pins}</domain>"
    place = SimpleNamespace(console_log="/log", owner=None)
    made = ET.fromstring(warm._xml(had, ET.fromstring(defined), SimpleNamespace(place=place)))  # type: ignore[arg-type]
    vcpu, *more = made.findall("vcpu")
    assert (vcpu.attrib, vcpu.text, more) == (ET.fromstring(defined).find("vcpu").attrib, "4", [])  # type: ignore[union-attr]
    found = [ET.tostring(one) for one in made.findall("cputune")]
    assert found == ([ET.tostring(ET.fromstring(pins))] if pins else [])
