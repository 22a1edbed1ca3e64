# SPDX-License-Identifier: GPL-2.0-or-later
"""Pins of what of QEMU is no vCPU: which thread strays, what I/O must show, and how guests share the node's CPUs."""

import hashlib
import struct
import subprocess

import pytest
from avocado.core.exceptions import TestError, TestFail

from provider.hvqual import pins
from provider.hvqual.domain_xml import Disk
from provider.hvqual.host_config import Shape
from provider.hvqual.operations import emulator_pin
from provider.hvqual.operations.emulator_pin import At, Confined, EmulatorPinning, burst, strays
from provider.hvqual.shares import Thread
from provider.tests.test_pinning import Expect

WANTED = {"emulator": frozenset({0}), "iothread1": frozenset({1})}


def at(part, *may, name="worker", tid=9):
    """Return a thread of *part* that may run on the CPUs *may*."""
    return At(Thread(7, tid, name), part, frozenset(may))


def test_threads_that_are_where_their_part_is_do_not_stray():
    """An IOThread that nobody pinned yet may run anywhere."""
    assert strays([at("emulator", 0), at("iothread1", 1), at("iothread2", 0, 1)], WANTED) == []


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (at("emulator", 0, 1), "may run on 0,1 instead of 0."),
        (at("iothread1", 0), "of 'iothread1' may run on 0 instead of 1."),
        (at("vcpu0", 0), "nothing of that name was pinned"),
        (at("machine", 0), "nothing of that name was pinned"),
    ],
)
def test_a_thread_elsewhere_is_told(found, told):
    """Also one that is on a right CPU, but in nothing that keeps it there."""
    (said,) = strays([found], WANTED)
    assert told in said


GUEST = type("Guest", (), {"name": "hvq-1", "ask": lambda *_: ""})


def guest(mib=32):
    """Return a guest with a disk of *mib*."""
    one = GUEST()
    one.spec = type("Spec", (), {"disks": (Disk("/x", mib),), "iothreads": 0})()
    return one


@pytest.fixture
def looks(monkeypatch):
    """Have the threads be what is put in here: before a burst, and from its first look on, burst by burst."""
    alone = [at("emulator", 0, name="qemu-system-x86", tid=1)]
    shown = [(alone, [*alone, at("emulator", 0, tid=2)])]
    monkeypatch.setattr(emulator_pin, "threads", lambda _: shown[0][int(writes[0] > 0)])
    writes = [0]

    def ask(_self, _script):
        writes[0] += 1
        return f"{'a' * 32}\n{'a' * 32}\n"

    monkeypatch.setattr(GUEST, "ask", ask)
    monkeypatch.setattr(emulator_pin, "pass_time", lambda _: None)
    monkeypatch.setattr(emulator_pin, "PATIENCE", 0.1)
    monkeypatch.setattr(emulator_pin, "LOOK", 0.01)
    monkeypatch.setattr(emulator_pin.shares, "cpu_seconds", lambda thread: float(thread.tid))
    monkeypatch.setattr(emulator_pin.shares, "last_cpu", lambda _: 0)
    shown.append(writes)
    return shown


def test_io_under_pins_shows_a_thread_that_is_born_and_right_data(looks):
    """What was there before is not born."""
    expect = Expect()
    burst(guest(), expect, Confined({"emulator": frozenset({0})}), 4)
    assert expect.seen == {"threads_born": 1, "pin_strays": 0, "io_right": True}
    assert looks[1] == [1]


def test_io_that_makes_no_thread_proves_nothing(looks):
    """It is no failure of the product, and is tried with more, and once more."""
    looks[0] = (looks[0][0], looks[0][0])
    expect = Expect()
    with pytest.raises(TestError, match="made no thread"):
        burst(guest(), expect, Confined({"emulator": frozenset({0})}), 4)
    assert looks[1] == [len(emulator_pin.MORE) + 1]
    assert expect.seen["threads_born"] == 0


def test_io_is_done_again_when_the_workers_of_before_sufficed(looks, monkeypatch):
    """Once they have ended."""
    before, after = looks[0]
    asked, last = [], len(emulator_pin.MORE)

    def threads(_):
        asked.append(looks[1][0])
        # The worker of before is there until the last of these bursts is over, then ends; one more burst makes another one.
        if looks[1][0] < last:
            return after
        return [*before, at("emulator", 0, tid=3)] if looks[1][0] > last else after if asked.count(last) < 4 else before

    monkeypatch.setattr(emulator_pin, "threads", threads)
    expect = Expect()
    burst(guest(), expect, Confined({"emulator": frozenset({0})}), 4)
    assert expect.seen["threads_born"] == 1
    assert looks[1] == [last + 1]


def test_more_requests_are_tried_before_anybody_waits(looks, monkeypatch):
    _, after = looks[0]
    monkeypatch.setattr(
        emulator_pin, "threads", lambda _: after if looks[1][0] < 2 else [*after, at("emulator", 0, tid=3)]
    )
    monkeypatch.setattr(emulator_pin, "until", None)
    expect = Expect()
    burst(guest(), expect, Confined({"emulator": frozenset({0})}), 4)
    assert (expect.seen["threads_born"], looks[1]) == (1, [2])


def test_a_burst_is_larger_by_the_workers_that_wait_for_work(looks, monkeypatch):
    """They would take all of it, and none would be born."""
    before, after = looks[0]
    looks[0] = ([*before, at("emulator", 0, tid=7), at("emulator", 0, tid=8)], [*after, at("emulator", 0, tid=3)])
    made = []
    monkeypatch.setattr(emulator_pin, "_script", lambda _guest, requests, *, again: made.append((requests, again)))
    burst(guest(), Expect(), Confined({"emulator": frozenset({0})}), 4)
    assert made == [(6, False)]


def test_a_worker_that_is_born_elsewhere_fails_the_guest(looks):
    """By its mask."""
    looks[0] = (looks[0][0], [*looks[0][0], at("emulator", 0, 1, tid=2)])
    with pytest.raises(TestFail, match=r"leaves its pins: The thread 'worker' \(2\).* may run on 0,1 instead of 0"):
        burst(guest(), Expect(), Confined({"emulator": frozenset({0})}), 4)


def test_a_worker_that_ran_elsewhere_fails_the_guest(looks, monkeypatch):
    """Whatever its mask says now."""
    monkeypatch.setattr(emulator_pin.shares, "last_cpu", lambda thread: thread.tid - 1)
    assert looks[0][1][1].may == frozenset({0})
    with pytest.raises(TestFail, match="'worker' of 'emulator' ran on 1"):
        burst(guest(), Expect(), Confined({"emulator": frozenset({0})}), 4)


@pytest.mark.parametrize(
    ("said", "kind", "told"),
    [
        (["a" * 32, "b" * 32], TestFail, "read something else"),
        ([], TestError, "two checksums"),
        (["a" * 32], TestError, "two checksums"),
    ],
)
def test_data_must_be_read_again(said, kind, told):
    """Two sums that are not there are not the same."""
    with pytest.raises(kind, match=told):
        emulator_pin._read_again(guest(), Expect(), said)


def test_the_script_writes_behind_the_canary_and_finds_it_again(tmp_path):
    """As a guest does it, on a file instead of a disk; no more than it has room for."""
    disk = tmp_path / "disk"
    disk.write_bytes(b"\1" * (5 << 20))
    script = emulator_pin._script(guest(5), 1024, again=True)
    for of_guest, here in (("/dev/vda", str(disk)), ("/proc/sys/vm/drop_caches", "/dev/null"), ("; sync;", ";")):
        assert of_guest in script
        script = script.replace(of_guest, here)
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    written = b"".join(struct.pack(">I", (1 << 28) + (1024 << 16) + number) * 1024 for number in range(64))
    sum_of = hashlib.md5(written, usedforsecurity=False).hexdigest()
    assert done.stdout.split() == [sum_of, sum_of]
    held = disk.read_bytes()
    assert held[: 4 << 20] == b"\1" * (4 << 20)
    assert held[(4 << 20) + 4096 :][:8192] == b"\1" * 8192
    assert len(held) == 5 << 20


class Stand:
    """A stand of guests without any IOThread of their own."""

    def __init__(self, *cpus):
        self.case = self
        self.wanted, self.record = None, Expect()
        self.guests = []
        for number, cpu in enumerate(cpus, 1):
            one = guest()
            one.name = f"hvq-{number}"
            one.spec.tuning = type("Tuning", (), {"emulator_cpus": (cpu,)})()
            self.guests.append(one)

    def each(self, operation):
        return [operation(one, self.record) for one in self.guests]


def test_each_turn_and_each_definition_is_another_place(monkeypatch):
    """Where one was as the one before, a pin that does nothing would not be noticed."""
    monkeypatch.setattr(pins, "node_cpus", lambda _: (0, 1))
    monkeypatch.setattr(emulator_pin, "told", lambda *_: None)
    monkeypatch.setattr(emulator_pin, "with_iothread", lambda *_: ["iothread1"])
    asked = []
    monkeypatch.setattr(
        emulator_pin,
        "pin",
        lambda one, _expect, confined, wanted, flag: (
            asked.append((one.name, wanted, flag)),
            confined.live.update(wanted),
        ),
    )
    pinning = EmulatorPinning(Stand(0, 1))
    before = pinning.confined["hvq-1"].live["emulator"]
    seen = []
    for turn in (1, 2):
        pinning.live(turn)
        seen.append(dict(pinning.confined["hvq-1"].live))
    pinning.config(1)
    first, second = seen
    assert first["emulator"] != before
    assert all(first[part] != second[part] for part in ("emulator", "iothread1"))
    assert first["emulator"] != first["iothread1"]
    # A definition knows no IOThread that was added while the guest ran.
    name, wanted, flag = asked[-2]
    assert (name, wanted, flag) == ("hvq-1", {"emulator": frozenset({1})}, emulator_pin.CONFIG)
    assert second["emulator"] != wanted["emulator"]


def test_definitions_take_the_cpus_in_turn(monkeypatch):
    """One for each emulator."""
    monkeypatch.setattr(pins, "node_cpus", lambda _: (2, 3))
    pinned = emulator_pin.emulator_in_turn(None)
    shape = Shape(1, 131072, (32,))
    assert [pinned(shape).tuning.emulator_cpus for _ in range(3)] == [(2,), (3,), (2,)]
