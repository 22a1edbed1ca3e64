# SPDX-License-Identifier: GPL-2.0-or-later
"""Limits on CPU time: what everybody tells of them, and what holds a guest back."""

import contextlib
import os
import subprocess
import sys
from xml.etree import ElementTree as ET

import pytest
from avocado.core.exceptions import TestError, TestFail

from provider.hvqual.counting import Count
from provider.hvqual.operations import bandwidth, held_back
from provider.hvqual.operations.bandwidth import NO_LIMIT
from provider.hvqual.operations.held_back import HeldBack, Sample, Speed, speed
from provider.hvqual.thread_cgroup import Quota
from provider.tests.test_pinning import Expect


def guest(vcpus=2, iothreads=0, pins=()):
    """Return a guest."""
    spec = type("Spec", (), {"vcpus": vcpus, "iothreads": iothreads, "pins": pins})()
    return type("Guest", (), {"name": "hvq-1", "spec": spec})()


def test_a_quota_is_a_part_of_what_there_was():
    """In whole microseconds; libvirt takes none below one thousand."""
    assert bandwidth.part_of(0.8, 50) == Quota(40_000, 100_000)
    assert bandwidth.part_of(1.7, 50).share == 0.85
    assert bandwidth.part_of(0.001, 50) == Quota(1000, 100_000)


@pytest.mark.parametrize(
    ("found", "wanted", "same"),
    [
        (Quota(40_000, 100_000), Quota(40_000, 100_000), True),
        (Quota(40_000, 50_000), Quota(40_000, 100_000), False),
        (Quota(-1, 100_000), Quota(40_000, 100_000), False),
        (Quota(0, 0), NO_LIMIT, False),
        (Quota(-1, 50_000), NO_LIMIT, True),
        (Quota(17592186044415, 100_000), NO_LIMIT, True),
    ],
)
def test_the_same_limit(found, wanted, same):
    """No limit is no limit, whatever its period; nothing told is no answer."""
    assert bandwidth.same(found, wanted) is same


def test_virsh_is_read():
    """Names and numbers, also those below zero."""
    said = "Scheduler      : posix\ncpu_shares     : 100\nvcpu_period    : 100000\nvcpu_quota     : -1\n\n"
    assert bandwidth.pairs(said) == {"cpu_shares": "100", "vcpu_period": "100000", "vcpu_quota": "-1"}


class Libvirt:
    """A libvirt that tells *python* and *xml* of a guest."""

    def __init__(self, python, xml):
        self.python, self.written = python, xml

    def lookup(self, _name):
        return self

    def schedulerParametersFlags(self, _flag):  # noqa: N802 - libvirt's name
        return self.python

    def xml(self, _name, *, inactive):
        assert inactive in {True, False}
        return ET.fromstring(self.written)


@pytest.fixture
def told(monkeypatch):
    """Return a function that holds one guest's vCPU limit of 40 ms to what is told."""

    def ask(python=40_000, virsh=40_000, xml="<quota>40000</quota><period>100000</period>", cgroup=40_000):
        said = type("Result", (), {"stdout_text": f"vcpu_quota : {virsh}\nvcpu_period : 100000\n"})()
        monkeypatch.setattr(bandwidth.virsh, "schedinfo", lambda *_, **__: said)
        group = type("Group", (), {"name": "vcpu0", "quota": lambda _: Quota(cgroup, 100_000)})()
        monkeypatch.setattr(bandwidth, "groups", lambda *_: [group])
        expect = Expect()
        expect.uri = "x"
        expect.truth = Libvirt(
            {"vcpu_quota": python, "vcpu_period": 100_000}, f"<domain><cputune>{xml}</cputune></domain>"
        )
        bandwidth.told(guest(), expect, "vcpu", Quota(40_000, 100_000))
        return expect.seen

    return ask


def test_all_who_know_tell_the_limit(told):
    """libvirt, virsh, XML and cgroup."""
    assert told() == {"quota_as_asked": True}


@pytest.mark.parametrize(
    ("other", "who"),
    [
        ({"python": 0}, r"libvirt \(--live\) tells 0"),
        ({"virsh": -1}, r"virsh \(--live\) tells -1"),
        ({"xml": ""}, r"the XML \(--live\) tells -1"),
        ({"cgroup": -1}, "the cgroup vcpu0 tells -1"),
    ],
)
def test_who_tells_another_limit_is_named(told, other, who):
    """Each of them alone is enough."""
    with pytest.raises(TestFail, match=who):
        told(**other)


def test_a_process_s_time_counts_threads_that_have_ended():
    """Those of QEMU's workers would be missing else."""
    assert held_back.ticks("7 (a) b) R 1 1 1 0 -1 0 1 1 1 1 150 50 9 9 20") == 200 / os.sysconf("SC_CLK_TCK")
    program = (
        "import threading, time\n"
        "def burn():\n"
        "    end = time.thread_time() + 0.3\n"
        "    while time.thread_time() < end: pass\n"
        "thread = threading.Thread(target=burn); thread.start(); thread.join()\n"
        "print(open('/proc/self/stat').read())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert held_back.ticks(done.stdout) >= 0.28


class Stand:
    """A stand of one guest, whose speeds are *speeds* one after the other, while others use *others* of two CPUs."""

    def __init__(self, monkeypatch, *speeds, waits=(3,), others=(0.0,)):
        self.guests, self.expect, self.asked = [guest()], Expect(), []
        self.case = type("Case", (), {"record": self.expect, "wanted": None})()
        self.expect.step = lambda *_: contextlib.nullcontext()
        given, used = iter(speeds), iter([*others, *[0.0] * 9])
        monkeypatch.setattr(HeldBack, "_speeds", lambda *_: {"hvq-1": next(given)})
        # One second and all of one CPU by guests, and what others use on top.
        looks = iter([look for _ in range(9) for look in ((0.0, 0.0, 0.0), (1.0, 1.0 + 2 * next(used), 1.0))])
        monkeypatch.setattr(held_back, "_node_and_guests", lambda *_: next(looks))
        monkeypatch.setattr(held_back.pins, "node_cpus", lambda _: (0, 1))
        waited = iter([[0] * len(waits), list(waits)])
        monkeypatch.setattr(held_back, "_waits", lambda *_: next(waited))
        monkeypatch.setattr(bandwidth, "limit", lambda *rest: self.asked.append(("limit", *rest[2:])))
        monkeypatch.setattr(bandwidth, "told", lambda *rest: self.asked.append(("told", *rest[2:])))

    def held(self):
        """Return the guests in the hands of what is tested."""
        return HeldBack(self, self.guests, 50, 1)

    @property
    def seen(self):
        """What was observed, rounded."""
        return {name: round(value, 2) for name, value in self.expect.seen.items() if name != "others_use"}


FREE = Speed((0.8, 1.0), 2.0, 90.0)


def test_a_limit_on_vcpus_is_held_against_the_slowest(monkeypatch):
    """So that each is held back; the fastest tells whether it gets more."""
    stand = Stand(monkeypatch, FREE, Speed((0.4, 0.38), 0.9, 38.7), waits=(9, 7))
    stand.held().limited("vcpu")
    assert stand.asked == [("limit", "vcpu", Quota(40_000, 100_000)), ("told", "vcpu", Quota(40_000, 100_000))]
    told = {"quota_waits": 7, "quota_used": 1.0, "quota_had": 0.95, "work_left": 0.43, "work_error": 0.01}
    assert stand.seen == told


def test_a_limit_that_is_off_is_seen_by_its_use(monkeypatch):
    """Nothing waits, and the guest is as fast as before."""
    stand = Stand(monkeypatch, FREE, FREE, waits=(0, 0))
    stand.held().limited("vcpu")
    assert (stand.seen["quota_waits"], stand.seen["quota_used"], stand.seen["work_left"]) == (0, 2.5, 1)


def test_a_limit_on_the_whole_counts_all_of_qemu(monkeypatch):
    """Not its vCPUs alone."""
    stand = Stand(monkeypatch, FREE, Speed((0.4, 0.4), 1.0, 44.0))
    stand.held().limited("global")
    assert stand.asked[0] == ("limit", "global", Quota(100_000, 100_000))
    assert stand.seen["quota_used"] == 1.0


@pytest.mark.parametrize(
    ("now", "waits", "seen"),
    [
        (Speed((0.8, 0.9), 2.0, 81.0), (0, 0), {"free_waits": 0, "cpu_recovered": 0.9, "speed_recovered": 0.9}),
        (Speed((0.4, 0.4), 0.9, 40.5), (0, 15), {"free_waits": 15, "cpu_recovered": 0.4, "speed_recovered": 0.45}),
    ],
)
def test_a_limit_that_is_lifted_holds_nobody_back(monkeypatch, now, waits, seen):
    """Nobody waits, and the guest gets as much done as before; one that stays is seen by both."""
    stand = Stand(monkeypatch, FREE, now, waits=waits)
    stand.held().free_again("vcpu")
    assert stand.asked == [("limit", "vcpu", NO_LIMIT), ("told", "vcpu", NO_LIMIT)]
    assert stand.seen == seen


def test_it_is_measured_again_when_others_used_the_node(monkeypatch):
    """What a guest can get is what it got while nobody else was there."""
    disturbed = Speed((0.3, 0.3), 0.7, 20.0)
    stand = Stand(monkeypatch, disturbed, disturbed, FREE, others=(0.5, 0.2, 0.1))
    assert stand.held().free["hvq-1"] == FREE


def test_a_node_that_is_never_calm_measures_nothing(monkeypatch):
    """It is no failure of the product."""
    stand = Stand(monkeypatch, *[FREE] * 9, others=[0.3] * 9)
    with pytest.raises(TestError, match="used 30%, 30%, 30%, 30%, 30%, 30% of the node's CPUs"):
        stand.held()


def test_what_the_node_s_cpus_did():
    """Without idle time and waits for disks, with what a hypervisor took; the other CPUs do not count."""
    stat = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 100 0 50 900 70 10 20 20 0 0\ncpu1 5 5 5 5 5 5 5 5 0 0\nintr 7\n"
    assert held_back.busy(stat, (0,)) == 200 / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize(
    ("shapes", "groups"),
    [
        ([(1, ()), (2, ()), (1, ()), (1, ()), (2, ())], [[1, 3], [2], [4], [5]]),
        ([(1, (0,)), (1, (0,)), (1, (1,))], [[1, 3], [2]]),
        ([(16, ()), (1, ())], [[1], [2]]),
    ],
)
def test_guests_come_in_turns_of_as_many_as_there_are_cpus(shapes, groups):
    """And none that are pinned to the same one."""
    guests = [guest(vcpus, pins=pins) for vcpus, pins in shapes]
    assert held_back.in_turns(guests, (0, 1)) == [[guests[number - 1] for number in group] for group in groups]


def test_speed_is_of_one_length_of_time():
    """The host's seconds for the host's numbers, the guest's for its own."""
    old = Sample(10.0, 5.0, (1.0, 2.0), {0: Count(0, 100.0), 1: Count(0, 100.0)})
    new = Sample(12.0, 8.0, (1.8, 3.0), {0: Count(60, 103.0), 1: Count(90, 103.0)})
    assert speed("hvq-1", old, new) == Speed((0.4, 0.5), 1.5, 50.0)


@pytest.mark.parametrize(
    "new",
    [
        Sample(12.0, 8.0, (1.8, 2.0), {0: Count(60, 103.0), 1: Count(90, 103.0)}),
        Sample(12.0, 8.0, (1.8, 3.0), {0: Count(60, 103.0), 1: Count(0, 100.0)}),
    ],
)
def test_a_guest_that_stands_still_measures_nothing(new):
    """There is nothing to hold back."""
    old = Sample(10.0, 5.0, (1.0, 2.0), {0: Count(0, 100.0), 1: Count(0, 100.0)})
    with pytest.raises(TestError, match="does not"):
        speed("hvq-1", old, new)


def test_a_sample_is_of_the_middle_of_the_answer(monkeypatch):
    """A guest that is slow to answer goes on meanwhile."""
    clocks = iter([[10.0, 5.0, 1.0], [11.0, 6.0, 1.4]])
    monkeypatch.setattr(held_back, "_clocks", lambda _: next(clocks))
    monkeypatch.setattr(held_back.counting, "told", lambda _: {0: Count(7, 3.0)})
    assert held_back._sample(guest()) == Sample(10.5, 5.5, (1.2,), {0: Count(7, 3.0)})


def test_a_definition_s_limit_leaves_what_runs(monkeypatch):
    """The live one is asked too."""
    stand = Stand(monkeypatch, FREE)
    held_back.defined_only(guest(), stand.expect, "vcpu", 50)
    assert stand.asked[1:] == [
        ("told", "vcpu", Quota(50_000, 100_000), bandwidth.CONFIG),
        ("told", "vcpu", NO_LIMIT, bandwidth.LIVE),
    ]


def test_iothreads_are_limited_where_there_are_some(monkeypatch):
    """And let go again."""
    stand = Stand(monkeypatch, FREE)
    held_back.told_only(guest(), stand.expect, "iothread", 50)
    assert stand.asked == []
    held_back.told_only(guest(iothreads=2), stand.expect, "iothread", 50)
    assert [one[2] for one in stand.asked] == [Quota(50_000, 100_000)] * 2 + [NO_LIMIT] * 2
