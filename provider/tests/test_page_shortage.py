# SPDX-License-Identifier: GPL-2.0-or-later
"""A missing page is refused and told, a success is a lie, and what is left of a refusal is found; NUMA policy that cannot change stays."""

import contextlib

import pytest
from avocado.core.exceptions import TestFail

from provider.hvqual.hugepages import Count, Pool
from provider.hvqual.operations import numa_live, page_shortage
from provider.hvqual.smaps import Mapping
from provider.tests.support import Record

QUIET = Count({}, {}, 0, Pool(10, 10, 0, 0))
REFUSED = "error: unable to map backing store for guest RAM: Cannot allocate memory\n"


class Expect:
    """As much of an Expect as is needed."""

    uri, timeout = "u", 1

    def __init__(self, folder, state="shut off"):
        self.record = Record(folder)
        self.truth = type("Truth", (), {"state": lambda *_: (state, "failed")})()

    def no_process(self, _guest):
        pass

    def one_process(self, _guest):
        return 7


class Guest:
    """A guest of 64 huge pages."""

    name, on = "hvq-1", False
    spec = type("Spec", (), {"hugepage_kib": 2048, "pieces_kib": (131072,)})()


def answer(status, text=""):
    """Return what virsh says."""
    return lambda *_, **__: type("Done", (), {"exit_status": status, "stderr_text": text})()


@pytest.fixture
def left(monkeypatch):
    """What is left of huge pages after the refusal, by who counts."""
    found = {}
    monkeypatch.setattr(page_shortage.hugepages, "count", lambda _: QUIET)
    monkeypatch.setattr(page_shortage.hugepages, "left_since", lambda *_: found)
    return found


def test_a_refusal_that_names_memory_is_as_it_should_be(monkeypatch, tmp_path, left):
    """Off, told, nothing left."""
    monkeypatch.setattr(page_shortage.virsh, "start", answer(1, REFUSED))
    expect = Expect(tmp_path)
    page_shortage.start_refused(Guest(), expect)
    assert expect.record.seen == {"refusal_told": [True], "refusal_leaks": [0]}


@pytest.mark.parametrize(
    ("status", "text", "state", "leak", "message"),
    [
        (0, "", "running", {}, "was started with a pool that lacks one of its 64 huge pages"),
        (1, "error: failed\n", "shut off", {}, "does not name memory"),
        (1, REFUSED, "running", {}, "should be shut off and is running"),
        (1, REFUSED, "shut off", {"pool": 3}, "held that were not before"),
    ],
)
def test_whatever_else_happens_is_told(monkeypatch, tmp_path, left, status, text, state, leak, message):
    """A start that goes through, a word that says nothing, a guest that is not off, a page that is left."""
    left.update(leak)
    monkeypatch.setattr(page_shortage.virsh, "start", answer(status, text))
    with pytest.raises(TestFail, match=message):
        page_shortage.start_refused(Guest(), Expect(tmp_path, state))


@pytest.mark.parametrize(
    ("status", "after", "mapped", "message"),
    [
        (1, "same", [], ""),
        (0, "same", [], "was plugged into 'hvq-1' though a huge page"),
        (1, "more", [], "yet something of it is there"),
        (1, "same", [Mapping(1, size=4096, page=2048)], "yet something of it is there"),
    ],
)
def test_a_refused_dimm_is_nowhere(monkeypatch, tmp_path, left, status, after, mapped, message):
    """Neither in the guest nor in QEMU; and not reported as plugged."""
    tells = iter(["same", after, after])
    monkeypatch.setattr(page_shortage.guest_memory, "told", lambda _: next(tells))
    monkeypatch.setattr(page_shortage.memory_devices, "of", lambda *_: [])
    monkeypatch.setattr(page_shortage.smaps, "mappings", lambda _: mapped)
    monkeypatch.setattr(page_shortage.virsh, "attach_device", answer(status, REFUSED))
    expect = Expect(tmp_path)
    with pytest.raises(TestFail, match=message) if message else contextlib.nullcontext():
        page_shortage.plug_refused(Guest(), expect, 4096, 1, 2048)
    assert message or expect.record.seen == {"refusal_told": [True], "refusal_leaks": [0]}


def test_one_page_is_missing(monkeypatch):
    """What others hold and were promised stays theirs."""
    asked = []

    def kernel_setting(path, value):
        asked.append((path.parent.name, value))
        return contextlib.nullcontext()

    monkeypatch.setattr(page_shortage, "kernel_setting", kernel_setting)
    monkeypatch.setattr(page_shortage.hugepages, "pool", lambda _: Pool(100, 40, 4, 0))
    with page_shortage.short_of(2048, 10):
        pass
    assert asked == [("hugepages-2048kB", 64 + 9)]


@pytest.fixture
def placed(monkeypatch):
    """In which modes the guest's memory was looked for."""
    found = []
    monkeypatch.setattr(numa_live.numa_tuning, "placed", lambda _guest, _expect, mode, _nodes: found.append(mode))
    monkeypatch.setattr(numa_live.numa_policy, "online", lambda: [0])
    return found


def test_a_policy_that_cannot_change_stays(monkeypatch, tmp_path, placed):
    """Both refusals are told, and the policy is looked at after each."""
    monkeypatch.setattr(
        numa_live.virsh,
        "numatune",
        answer(1, "error: Unable to change numa parameters\nerror: can't change numatune mode"),
    )
    expect = Expect(tmp_path)
    numa_live.unchanged(Guest(), expect, "strict", [0])
    assert (placed, expect.record.seen["refusal_told"]) == (["strict", "strict"], [True, True])


def test_a_policy_that_is_reported_changed_must_be(monkeypatch, tmp_path, placed):
    """A success is held against the kernel; one for an absent node is a lie."""
    monkeypatch.setattr(numa_live.virsh, "numatune", answer(0))
    with pytest.raises(TestFail, match="was tied to node 1 while it runs"):
        numa_live.unchanged(Guest(), Expect(tmp_path), "strict", [0])
    assert placed == ["interleave"]


def test_a_refusal_without_a_reason_is_told(monkeypatch, tmp_path, placed):
    """It must say that it is about NUMA."""
    monkeypatch.setattr(
        numa_live.virsh, "numatune", answer(1, "error: Unable to change numa parameters\nerror: failed")
    )
    with pytest.raises(TestFail, match="names none"):
        numa_live.unchanged(Guest(), Expect(tmp_path), "strict", [0])


def test_an_uneven_spread_is_observed(monkeypatch, tmp_path):
    """How far each node is from its even share."""
    ram = [type("Placed", (), {"on_nodes": {0: 3072, 1: 1024}})()]
    monkeypatch.setattr(numa_live.numa_policy, "of_ram", lambda *_: ram)
    expect = Expect(tmp_path)
    numa_live.spread(Guest(), expect, [0, 1])
    assert expect.record.seen["node_share_error"] == [0.5, 0.5]
