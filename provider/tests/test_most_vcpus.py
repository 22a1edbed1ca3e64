# SPDX-License-Identifier: GPL-2.0-or-later
"""As many vCPUs as can be had: what is asked for, and a vCPU that is missing or idle is noticed."""

import contextlib
from types import SimpleNamespace

import pytest
from avocado.core.exceptions import TestError, TestFail

from provider.hvqual import capability, host_process, most_vcpus, shares
from provider.hvqual.host_config import Shape

CASE = SimpleNamespace(wanted=SimpleNamespace(reserve_cpus=0, reserve_memory_mib=0, max_memory_mib=0))


@pytest.mark.parametrize(("word", "count"), [("machine", 288), ("node", 6), ("16", 16), ("288", 288)])
def test_what_a_word_asks_for(monkeypatch, word, count):
    monkeypatch.setattr(capability, "capacity", lambda *_: SimpleNamespace(cpus=6))
    assert most_vcpus.wanted(CASE, word, 288) == count


@pytest.mark.parametrize("word", ["289", "0", "-1", "all", "1.5", ""])
def test_a_word_that_asks_for_nothing_is_refused(word):
    with pytest.raises(TestError, match=r"hv_vcpus is .*from 1 to 288"):
        most_vcpus.wanted(CASE, word, 288)


def test_pins_are_taken_in_turn():
    assert most_vcpus.given(Shape(2, 1024, (1,), pins=(4, 5)), 5).pins == (4, 5, 4, 5, 4)
    assert most_vcpus.given(Shape(2, 1024, (1,)), 5).pins == ()


class World:
    """A guest of two vCPUs, by everybody's word; a test changes one of them."""

    name, uri = "hvq-1", "u"
    spec = SimpleNamespace(vcpus=2)

    def __init__(self):
        self.virsh, self.threads, self.present, self.online = "2\n", 2, "0-1", "0-1"
        self.ran, self.ticks, self.spent = "0\n1\n", ([5, 5], [9, 9]), ([1.0, 1.0], [1.5, 1.5])
        self.asked, self.looked, self.seen = 0, 0, {}
        self.record = self

    def ask(self, command):
        if "interrupts" in command:
            self.asked += 1
            numbers = self.ticks[min(self.asked, 2) - 1]
            return "  LOC: " + " ".join(f"{number:10d}" for number in numbers) + "   Local timer interrupts\n"
        if "taskset" in command:
            return self.ran
        return self.present if "present" in command else self.online

    def step(self, *_):
        return contextlib.nullcontext()

    def observe(self, name, value, *_):
        self.seen[name] = value

    def problem(self, *_):
        pass


@pytest.fixture
def world(monkeypatch):
    it = World()
    said = SimpleNamespace(vcpucount=lambda *_, **__: SimpleNamespace(stdout_text=it.virsh))
    monkeypatch.setattr(most_vcpus, "virsh", said)
    monkeypatch.setattr(host_process, "emulators", lambda _: [SimpleNamespace(pid=1)])
    monkeypatch.setattr(shares, "vcpu_threads", lambda _: list(range(it.threads)))

    def spent(thread):
        it.looked += 1
        return it.spent[0 if it.looked <= it.threads else 1][thread]

    monkeypatch.setattr(shares, "cpu_seconds", spent)
    return it


def test_a_guest_with_all_its_vcpus(world):
    most_vcpus.told(world, world, 4)
    most_vcpus.each_works(world, world)
    assert world.seen == {"vcpus": 2, "vcpus_of_machine": 0.5, "vcpus_idle": 0}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"virsh": "1\n"}, "virsh: 1"),
        ({"virsh": ""}, "virsh: nothing"),
        ({"threads": 1}, "the host's threads: 1"),
        ({"present": "0"}, "CPUs present: 1"),
        ({"online": "0"}, "CPUs online: 1"),
        ({"online": "0-99999999999"}, "CPUs online: 0"),
        ({"online": "no such file"}, "CPUs online: 0"),
    ],
)
def test_one_that_is_missing_is_named_by_who_misses_it(world, change, told):
    vars(world).update(change)
    with pytest.raises(TestFail, match=told):
        most_vcpus.told(world, world, 4)
    assert "vcpus" not in world.seen


@pytest.mark.parametrize(
    "change",
    [
        {"ran": "0\n0\n"},
        {"ran": ""},
        {"ran": "0\ntaskset: failed to set pid 9's affinity: Invalid argument\n"},
        {"ticks": ([5, 5], [9, 5])},
        {"ticks": ([5], [9])},
        {"spent": ([1.0, 1.0], [1.5, 1.0])},
    ],
)
def test_one_that_does_nothing_is_noticed(world, change):
    """The task ran elsewhere, no timer interrupt came, or the host saw no work."""
    vars(world).update(change)
    with pytest.raises(TestFail, match="do not work"):
        most_vcpus.each_works(world, world)
    assert world.seen["vcpus_idle"] > 0
