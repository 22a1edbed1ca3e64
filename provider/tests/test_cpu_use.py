# SPDX-License-Identifier: GPL-2.0-or-later
"""What is observed of VMs that work: shares and their deviations, places of pinned vCPUs, memory given and held."""

import pytest
from avocado.core.exceptions import TestError, TestFail

from provider.hvqual import cpu_use, host_process, node_room, shares
from provider.hvqual.cpu_use import Use
from provider.hvqual.node_room import Room
from provider.hvqual.shares import Ram, Thread


class Record:
    """What a test told."""

    def __init__(self):
        self.seen, self.problems = {}, []

    def observe(self, name, value, unit, vm=None):
        self.seen.setdefault((name, vm), []).append(value)

    def problem(self, what, message, vm=None):
        self.problems.append((what, message))

    def timed(self, name):
        import contextlib

        return contextlib.nullcontext()


class Domain:
    """A running domain of libvirt."""

    def __init__(self, name, memory, times):
        self.label, self.memory, self.times = name, memory, times

    def name(self):
        return self.label

    def isActive(self):  # noqa: N802 - libvirt's name
        return True

    def info(self):
        return [1, self.memory, self.memory, len(self.times), 0]

    def vcpus(self):
        return [(number, 1, time, 0) for number, time in enumerate(self.times)], []


class Expect:
    """As much of an Expect as is needed, with its domains."""

    timeout, uri = 1, "u"

    def __init__(self, *domains):
        self.record = Record()
        found = {domain.name(): domain for domain in domains}
        connection = type("Connection", (), {"listAllDomains": lambda _: list(domains)})()
        self.truth = type("Truth", (), {"lookup": lambda _, name: found.get(name), "connection": connection})()


class Guest:
    """A guest with vCPUs, pins and memory."""

    def __init__(self, name="hvq-1", vcpus=1, pins=(), memory_kib=262144, online=None):
        self.name = name
        self.spec = type("Spec", (), {"vcpus": vcpus, "pins": pins, "memory_kib": memory_kib, "pieces_kib": ()})
        self.wanted = type("Wanted", (), {"reserve_cpus": 0, "reserve_memory_mib": 0, "max_memory_mib": 0})
        self.witness = type("Witness", (), {"report": lambda _: {"cpus_online": str(online or vcpus)}})()


def use(name, *vcpus, libvirt=None):
    """Return what a guest used in a second."""
    return Use(Guest(name, len(vcpus)), 1.0, vcpus, sum(vcpus) if libvirt is None else libvirt)


def test_equal_shares_deviate_by_nothing():
    """Both counts are asked, each VM for itself."""
    expect = Expect()
    cpu_use.observe_equal([use("a", 0.3), use("b", 0.3)], expect)
    assert expect.record.seen["share_deviation", "a"] == [0.0, 0.0]
    assert expect.record.seen["cpu_use", "b"] == [0.3]


def test_each_count_can_tell_a_throttled_vm():
    """Whoever of host and libvirt sees one VM with less, it is observed."""
    expect = Expect()
    cpu_use.observe_equal([use("a", 0.1, libvirt=0.4), use("b", 0.4), use("c", 0.4)], expect)
    by_host, by_libvirt = expect.record.seen["share_deviation", "a"]
    assert by_host == pytest.approx(2 / 3)
    assert by_libvirt == pytest.approx(0)


def test_a_vcpu_that_does_not_run_is_told():
    """Of 1.25 CPUs' time two vCPUs would get 0.625 each; more CPUs than vCPUs give a vCPU no more than one."""
    expect = Expect()
    cpu_use.observe_all_run([use("a", 0.625, 0.0)], expect, 1.25)
    assert expect.record.seen["vcpu_use", "a"] == [1.0, 0.0]
    cpu_use.observe_all_run([use("b", 1.0)], expect, 64.0)
    assert expect.record.seen["vcpu_use", "b"] == [1.0]


@pytest.fixture
def host(monkeypatch):
    """Stand in for the host: one QEMU for each guest, its threads, their clocks and places."""
    state = {"cpu": 0, "clock": 0.0, "threads": 2, "ram": [Ram(98304, 4), Ram(98304, 4)]}
    monkeypatch.setattr(host_process, "emulators", lambda name: [type("Emulator", (), {"pid": 7})])
    threads = lambda pid: [Thread(pid, tid, f"CPU {tid}/TCG") for tid in range(state["threads"])]  # noqa: E731
    monkeypatch.setattr(shares, "vcpu_threads", threads)
    monkeypatch.setattr(shares, "last_cpu", lambda thread: state["cpu"])
    monkeypatch.setattr(shares, "cpu_seconds", lambda thread: state["clock"])
    monkeypatch.setattr(shares, "ram", lambda pid, memory: state["ram"])
    monkeypatch.setattr(node_room, "around", lambda pid, connection: Room(2, 1.25, 524288))
    return state


def test_a_pinned_vcpu_that_strays_is_counted(host):
    """Two vCPUs pinned to 0 and 1 that both ran on 0: one strays, each time somebody looks."""
    guests = [Guest("a", 2, pins=(0, 1)), Guest("b", 2)]
    strays, expect = cpu_use.Strays(guests), Expect()
    strays.look()
    strays.look()
    strays.conclude([use("a", 0.5, 0.5), use("b", 0.5, 0.5)], expect)
    assert expect.record.seen == {("pin_strays", "a"): [2]}


def test_a_pinned_vcpu_that_did_not_run_proves_nothing(host):
    """Its place is where it stood before."""
    strays = cpu_use.Strays([Guest("a", 2, pins=(0, 0))])
    with pytest.raises(TestError, match="did not run at all"):
        strays.conclude([use("a", 0.5, 0.0)], Expect())


def test_used_is_the_difference_of_clocks(host):
    """By the host for each vCPU, by libvirt for all; somebody looks meanwhile."""
    domain = Domain("a", 0, [0, 0])
    expect, looked = Expect(domain), []

    def look():
        looked.append(1)
        host["clock"], domain.times = 0.4, [300_000_000, 300_000_000]

    (found,) = cpu_use.used([Guest("a", 2)], expect, 0.2, look)
    assert found.vcpus == (0.4, 0.4)
    assert found.libvirt == pytest.approx(0.6)
    assert found.seconds >= 0.2
    assert len(looked) >= 2


def test_without_a_thread_for_each_vcpu_nothing_is_measured(host):
    """A QEMU with one thread for all vCPUs cannot be told apart."""
    host["threads"] = 1
    with pytest.raises(TestError, match="should have 2 vCPU threads"):
        cpu_use.threads_of(Guest("a", 2))


def test_memory_behind_the_guest(host):
    """Three quarters are three quarters; no mapping of the guest's size is nothing."""
    expect = Expect()
    cpu_use.resident(Guest("a"), expect)
    host["ram"] = None
    cpu_use.resident(Guest("b"), expect)
    assert expect.record.seen == {("ram_resident", "a"): [0.75], ("ram_resident", "b"): [0.0]}


def test_the_big_vm_against_the_node(host):
    """A CPU that its guest does not use is missing; its memory by libvirt is a part of the node's."""
    expect = Expect(Domain("a", 393216, [0, 0]))
    cpu_use.observe_big(Guest("a", 2, online=1), expect)
    assert expect.record.seen["vcpus_missing", "a"] == [1]
    assert expect.record.seen["memory_share", "a"] == [0.75]
    assert expect.record.seen["memory_sum_ratio", None] == [0.75]


def test_more_than_the_node_gives_is_seen(host):
    """Two VMs of 384 MiB each in 512 MiB."""
    expect = Expect(Domain("a", 393216, [0]), Domain("b", 393216, [0]))
    cpu_use.observe_together([Guest("a"), Guest("b"), Guest("gone")][:2], expect)
    assert expect.record.seen["memory_sum_ratio", None] == [1.5]
    assert expect.record.seen["vms_running", None] == [2]


def test_a_daemon_that_does_not_answer_fails(monkeypatch):
    """Refused or timed out: the host is not responsive."""
    answer = type("Answer", (), {"exit_status": 1, "stderr_text": "error: failed to connect"})
    monkeypatch.setattr(cpu_use.virsh, "dom_list", lambda **_: answer, raising=False)
    with pytest.raises(TestFail, match="does not answer under load: error: failed to connect"):
        cpu_use.observe_answer(Expect())
