# SPDX-License-Identifier: GPL-2.0-or-later
"""Pins of vCPUs: plans over all guests, what virsh and cgroups tell, and where threads were found."""

import pytest
from avocado.core.exceptions import TestError, TestFail

from provider.hvqual import pins, residency, shares, thread_cgroup
from provider.hvqual.host_config import Shape
from provider.hvqual.operations import pinning
from provider.hvqual.residency import Seen
from provider.hvqual.shares import Thread
from provider.hvqual.thread_cgroup import Group, Quota


def places(*cpus):
    """Return one place for each set of CPUs."""
    return tuple(frozenset(each) for each in cpus)


def test_each_plan_moves_vcpus_on_a_node_of_two_cpus():
    """Where a plan gave the same as the one before, a pin that does nothing would not be noticed."""
    node = (0, 1)
    assert pins.planned("1:1", [2], node) == [places({0}, {1})]
    assert pins.planned("spread", [2], node) == [places({1}, {0})]
    assert pins.planned("same", [2], node) == [places({1}, {1})]
    assert pins.planned("1:1", [1, 1, 1], node) == [places({0}), places({1}), places({0})]
    assert pins.planned("same", [1, 1, 1], node) == [places({1}), places({0}), places({1})]


def test_plans_use_a_big_node():
    """Each vCPU its own CPU, or every second one."""
    node = tuple(range(2, 8))
    assert pins.planned("1:1", [2, 2], node) == [places({2}, {3}), places({4}, {5})]
    assert pins.planned("spread", [2], node) == [places({3, 5, 7}, {2, 4, 6})]
    assert pins.planned("anywhere", [1], node) == [places(set(node))]


def test_one_cpu_has_room_for_each_plan():
    """No plan leaves a vCPU without a CPU."""
    assert all(pins.planned(plan, [2], (4,)) == [places({4}, {4})] for plan in pins.PLANS)


def test_an_unknown_plan_is_an_error():
    """A name that is mistyped pins nothing."""
    with pytest.raises(TestError, match="no plan of pins"):
        pins.planned("1-1", [1], (0,))


def test_definitions_take_the_cpus_in_turn(monkeypatch):
    """Over all the VMs, not from the first CPU on for each."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2})
    pinned = pins.in_turn(type("Wanted", (), {"reserve_cpus": 1})())
    shape = Shape(1, 131072, (32,))
    assert [pinned(shape).pins for _ in range(3)] == [(1,), (2,), (1,)]


def test_virsh_is_read():
    """Of the table only what has a number and a list of CPUs."""
    said = " VCPU   CPU Affinity\n----------------------\n 0      0-1\n 1      3\n\n"
    assert pins.told(said) == {"0": frozenset({0, 1}), "1": frozenset({3})}
    assert pins.told("Domain did as asked\n") == {}


def thread_in(folder, lines):
    """Return a thread whose folder tells *lines* of its cgroups."""
    task = folder / "7" / "task" / "8"
    task.mkdir(parents=True)
    (task / "cgroup").write_text(lines)
    return Thread(7, 8, "CPU 0/TCG")


@pytest.mark.parametrize(
    ("version", "lines"), [(1, "3:cpuset:/m/vcpu0\n1:cpu:/m/vcpu0\n0::/m/vcpu0\n"), (2, "0::/m/vcpu0\n")]
)
def test_a_thread_is_found_in_its_cgroup(tmp_path, monkeypatch, version, lines):
    """Version 1 where the controller is there, else version 2."""
    monkeypatch.setattr(shares, "PROC", tmp_path)
    root = tmp_path / "fs"
    folder = root / ("cpu/m/vcpu0" if version == 1 else "m/vcpu0")
    folder.mkdir(parents=True)
    if version == 1:
        (folder / "cpu.cfs_quota_us").write_text("-1\n")
        (folder / "cpu.cfs_period_us").write_text("100000\n")
    else:
        (folder / "cpu.max").write_text("max 100000\n")
    group = thread_cgroup.of(thread_in(tmp_path, lines), "cpu", root)
    assert (group.version, group.name, group.quota()) == (version, "vcpu0", Quota(-1, 100000))


def test_a_cgroup_that_tells_nothing_is_an_error(tmp_path):
    """What cannot be read is not as asked."""
    with pytest.raises(TestError, match=r"does not tell 'cpuset\.cpus'"):
        Group(1, tmp_path).cpus()


class Scheduler:
    """A thread that runs as it is told: (CPU seconds, last CPU, migrations) look by look."""

    def __init__(self, monkeypatch, *looks):
        self.looks, self.at = looks, 0
        monkeypatch.setattr(shares, "cpu_seconds", lambda _: self.looks[self.at][0])
        monkeypatch.setattr(shares, "last_cpu", lambda _: self.looks[self.at][1])
        monkeypatch.setattr(residency, "migrations", lambda _: self.looks[self.at][2])

    def watched(self, may):
        """Look as often as there is something to see."""
        seen = residency.Residency([(Thread(7, 8, "CPU 0/TCG"), frozenset(may))])
        for number in range(1, len(self.looks)):
            self.at = number
            seen.look()
        return seen.conclude()[0]


def test_a_thread_that_stays_has_no_stray(monkeypatch):
    """Where it ran last before the pinning does not count until it has run."""
    seen = Scheduler(monkeypatch, (1.0, 0, 5), (1.0, 0, 5), (1.1, 1, 5), (1.2, 1, 5)).watched({1})
    assert (seen.samples, seen.strays, seen.moves) == (2, 0, 0)


def test_a_thread_that_was_elsewhere_is_a_stray(monkeypatch):
    """One look is enough."""
    seen = Scheduler(monkeypatch, (1.0, 1, 5), (1.1, 0, 6), (1.2, 1, 7)).watched({1})
    assert (seen.strays, seen.moves) == (1, 2)


def test_a_trip_between_two_looks_is_a_move(monkeypatch):
    """Nobody saw it elsewhere; the kernel counted that it went."""
    seen = Scheduler(monkeypatch, (1.0, 1, 5), (1.1, 1, 7)).watched({1})
    assert (seen.strays, seen.moves) == (0, 2)


def test_moves_within_several_cpus_are_free(monkeypatch):
    """Among its own CPUs a thread may go as it likes."""
    assert Scheduler(monkeypatch, (1.0, 1, 5), (1.1, 0, 7)).watched({0, 1}).moves == 0


def test_a_thread_that_did_not_run_proves_nothing(monkeypatch):
    """Its place is unknown, not right."""
    with pytest.raises(TestError, match="did not run"):
        Scheduler(monkeypatch, (1.0, 1, 5), (1.0, 1, 5)).watched({1})


class Expect:
    """As much of an Expect as is needed."""

    def __init__(self):
        self.seen, self.problems, self.record = {}, [], self

    def observe(self, name, value, _unit, _vm=None):
        self.seen[name] = value

    def problem(self, what, message, _vm=None):
        self.problems.append((what, message))

    def step(self, *_):
        import contextlib

        return contextlib.nullcontext()


GUEST = type("Guest", (), {"name": "hvq-1"})()


def test_a_stray_fails_the_guest():
    """By name of the thread."""
    expect = Expect()
    with pytest.raises(TestFail, match=r"hvq-1.*CPU 0/TCG.*1 of 9 looks"):
        pinning.stays(GUEST, expect, [Seen(Thread(7, 8, "CPU 0/TCG"), frozenset({1}), 1.0, 0, 9, 1, 0)])
    assert expect.seen["pin_strays"] == 1


def test_who_tells_something_else_is_named(monkeypatch):
    """A virsh that reports success and does nothing is found out by each of the others."""
    wanted = pinning.Pinned(places({1}), places({0}))
    monkeypatch.setattr(pinning, "_by_libvirt", lambda *_: [("libvirt (--live)", places({0}), places({1}))])
    monkeypatch.setattr(pinning, "_by_host", lambda *_: [("the scheduler", places({1}), places({1}))])
    expect = Expect()
    with pytest.raises(TestFail, match=r"libvirt \(--live\) tells 0:0 instead of 0:1\.$"):
        pinning.told(GUEST, expect, wanted)
    assert expect.seen["pins_as_asked"] is False
