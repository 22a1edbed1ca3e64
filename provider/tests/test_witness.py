# SPDX-License-Identifier: GPL-2.0-or-later
"""What a guest says of its canaries is believed only where it is a checksum, and only if it is the one that the host kept."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from avocado.core.exceptions import TestError, TestFail

from provider.hvqual.witness import REPORT_KEYS, Armed, Witness

BOOT = "0c1d8ee7-5e9c-4e2a-8876-4e060af47262"
RAM, DISK = "a" * 64, "b" * 64
GOOD = {"boot_id": BOOT, "ram_sha256": RAM, "disk_sha256": DISK, "panics": "0"}
KEPT = {"boot_id_changes": 0, "ram_canary": True, "disk_canary": True, "guest_panics": 0}


class Guest:
    """A guest that tells what the test wants it to."""

    name = "hvq-1"

    def __init__(self, **told: str) -> None:
        self.told = {**dict.fromkeys(REPORT_KEYS, "1"), **GOOD, **told}

    def ask(self, command: str) -> str:
        assert command in {"hv-witness arm", "hv-witness report"}
        return "".join(f"{key}={value}\n" for key, value in self.told.items())


class Recording:
    """What was observed."""

    def __init__(self) -> None:
        self.seen: dict[str, Any] = {}

    def observe(self, name: str, value: Any, _unit: str, _vm: str) -> None:
        self.seen[name] = value


def witness(guest: Guest) -> tuple[Witness, Recording]:
    record = Recording()
    return Witness(guest, None, record), record  # type: ignore[arg-type]


def test_canaries_that_were_kept() -> None:
    it, record = witness(Guest())
    assert it.arm() == Armed(BOOT, RAM, DISK)
    it.check()
    assert record.seen == KEPT


@pytest.mark.parametrize(
    ("changed", "name", "value"),
    [
        ({"ram_sha256": "c" * 64}, "ram_canary", False),
        ({"ram_sha256": "unreadable"}, "ram_canary", False),
        ({"ram_sha256": "missing"}, "ram_canary", False),
        ({"disk_sha256": "c" * 64}, "disk_canary", False),
        ({"disk_sha256": "unreadable"}, "disk_canary", False),
        ({"disk_sha256": "none"}, "disk_canary", False),
        ({"boot_id": "another"}, "boot_id_changes", 1),
        ({"panics": "2"}, "guest_panics", 2),
    ],
)
def test_what_is_not_as_it_was_is_told(changed: dict[str, str], name: str, value: object) -> None:
    guest = Guest()
    it, record = witness(guest)
    it.arm()
    guest.told.update(changed)
    it.check()
    assert record.seen[name] == value
    assert record.seen == {**KEPT, name: value}


@pytest.mark.parametrize("key", ["ram_sha256", "disk_sha256"])
@pytest.mark.parametrize("told", ["unreadable", "missing", "0", "A" * 64, "a" * 63, "a" * 65])
def test_a_canary_that_cannot_be_read_back_is_none(key: str, told: str) -> None:
    """A guest that says the same word before and after has proved nothing."""
    it, _ = witness(Guest(**{key: told}))
    with pytest.raises(TestError, match=f"'hvq-1' cannot be read back: {key}={told}"):
        it.arm()
    assert it.armed is None


def test_a_guest_without_a_disk_has_no_canary_there() -> None:
    """It is armed, but nothing that is asked of its disk is met."""
    it, record = witness(Guest(disk_sha256="none"))
    it.arm()
    it.check()
    assert record.seen["disk_canary"] is False
    it, _ = witness(Guest(ram_sha256="none"))
    with pytest.raises(TestError, match="ram_sha256=none"):
        it.arm()


class Mute:
    """An observer that hears nobody."""

    def beats(self, *_: object) -> list[object]:
        return []


@pytest.mark.parametrize(
    ("running", "said"), [([], "There was no QEMU of 'hvq-1' for 0.1 s"), (["one"], "Waited 0.5 s")]
)
def test_a_guest_without_a_qemu_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, running: list[str], said: str
) -> None:
    problems: list[str] = []
    record = SimpleNamespace(problem=lambda what, message, vm: problems.append(f"{what} {vm} {message}"))
    monkeypatch.setattr("provider.hvqual.witness.GONE", 0.1)
    monkeypatch.setattr("provider.hvqual.wait.Absence.EACH", 0.05)
    monkeypatch.setattr("provider.hvqual.host_process.emulators", lambda _name: running)
    with pytest.raises(TestFail, match=said):
        Witness(Guest(), Mute(), record).ready(0, 0.5)  # type: ignore[arg-type]
    assert problems == [f"vm-lost hvq-1 The guest did not become ready. {problems[0].partition('ready. ')[2]}"]
    assert said in problems[0]
