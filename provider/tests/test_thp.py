# SPDX-License-Identifier: GPL-2.0-or-later
"""Transparent huge pages: what is set is told from what is done, and what is done from what a guest has of it."""

import itertools

import pytest
from avocado.core.exceptions import TestError, TestFail

from provider.hvqual import thp
from provider.hvqual.smaps import Mapping
from provider.tests.support import Record


@pytest.fixture
def expect():
    """As much of an Expect as is needed."""
    return type("Expect", (), {"record": Record()})()


class Guest:
    """A guest that answers what the test wants it to."""

    name, on = "hvq-1", True
    spec = type("Spec", (), {"pieces_kib": (131072,), "name": "hvq-1"})()

    def __init__(self, answer="seconds=0.50 huge=4096\n"):
        self.answer = answer

    def ask(self, command):
        return "MemAvailable: 102400 kB\n" if "meminfo" in command else self.answer


@pytest.fixture
def behind(monkeypatch):
    """What stands behind the guest's memory, one look after the other; the last one stays."""
    looks = []
    monkeypatch.setattr(thp, "ram_of", lambda _: [looks[0] if len(looks) == 1 else looks.pop(0)])
    return looks


def test_what_is_given_follows_from_mode_and_advice():
    """Only 'madvise' tells who asked from who did not."""
    assert [thp.given(mode, advised=advised) for mode in thp.MODES for advised in (False, True)] == [
        True,
        True,
        False,
        True,
        False,
        False,
    ]


def test_the_setting_of_the_size_wins(tmp_path):
    """Newer kernels have one for each; by default it is the one of all. No setting is never."""
    assert thp.policy(tmp_path) == "never"
    (tmp_path / "enabled").write_text("always [madvise] never\n")
    (tmp_path / "hpage_pmd_size").write_text("2097152\n")
    assert thp.policy(tmp_path) == "madvise"
    (tmp_path / "hugepages-2048kB").mkdir()
    (tmp_path / "hugepages-2048kB" / "enabled").write_text("always [inherit] madvise never\n")
    assert thp.policy(tmp_path) == "madvise"
    (tmp_path / "hugepages-2048kB" / "enabled").write_text("always inherit madvise [never]\n")
    assert thp.policy(tmp_path) == "never"


@pytest.mark.parametrize("modes", [(), ("sometimes",), ("always", "sometimes")])
def test_an_unknown_mode_is_an_error(modes):
    """Before anything is set."""
    with pytest.raises(TestError, match="hv_thp_modes"):
        thp.known(modes)


def test_a_kernel_that_does_not_do_as_set_is_told(monkeypatch, expect):
    """THP that is off in truth, whatever the setting says."""
    monkeypatch.setattr(thp, "probed", lambda *, advised: 8192 if advised else 0)
    thp.does_as_set("madvise", expect)
    with pytest.raises(TestFail, match="did not ask for huge pages should have them"):
        thp.does_as_set("always", expect)
    with pytest.raises(TestFail, match="that asked for huge pages should have none"):
        thp.does_as_set("never", expect)


def test_the_probe_is_told_apart_from_its_neighbours():
    """On whatever kernel the tests run: it is no error, and no more than was mapped."""
    assert 0 <= thp.probed(advised=True) <= 2 * thp.PROBE // 1024


def test_a_guest_with_and_without_huge_pages(expect, behind):
    """Some under 'always', none under 'never'; each way round it is told."""
    behind.append(Mapping(1, resident=4096, huge=2048))
    thp.as_set(Guest(), expect, "always")
    assert expect.record.seen == {"thp_as_set": [True], "thp_backed": [0.5]}
    with pytest.raises(TestFail, match="should not lie in transparent huge pages; 2048 of 4096"):
        thp.as_set(Guest(), expect, "never")
    behind[:] = [Mapping(1, resident=4096)]
    thp.as_set(Guest(), expect, "never")
    with pytest.raises(TestFail, match="Under 'always' the memory of 'hvq-1' should lie"):
        thp.as_set(Guest(), expect, "always")


def test_madvise_is_for_who_asked(expect, behind):
    """A QEMU that did not ask is to have none."""
    behind.append(Mapping(1, resident=4096, huge=2048, flags=frozenset({"hg"})))
    thp.as_set(Guest(), expect, "madvise")
    behind[:] = [Mapping(1, resident=4096, huge=2048)]
    with pytest.raises(TestFail, match="should not lie"):
        thp.as_set(Guest(), expect, "madvise")


def test_a_guest_that_is_off_tells_nothing(expect):
    """There is no memory to look at."""
    guest = Guest()
    guest.on = False
    thp.as_set(guest, expect, "always")
    assert expect.record.seen == {}


def test_nothing_in_use_is_no_share(behind):
    """Zero of zero proves nothing."""
    with pytest.raises(TestError, match="Nothing of the memory"):
        thp.part(Guest.spec, [Mapping(1)])


def test_filling_shows_growth_and_rate(expect, behind):
    """Half of 100 MiB in half a second."""
    behind[:] = [Mapping(1, resident=4096, huge=2048)] * 2 + [Mapping(1, resident=16384, huge=14336)]
    thp.filled(Guest(), expect, 0.5, "always")
    seen = expect.record.seen
    assert (seen["fill_rate"], seen["guest_huge"], seen["thp_growth"]) == ([100.0], [4096], [12288])


def test_a_guest_that_does_not_tell_is_an_error(expect):
    """Out of memory, for instance: no rate is made up."""
    with pytest.raises(TestError, match="did not tell of the 50 MiB"):
        thp.written(Guest("Out of memory!\n"), expect, 0.5)


def test_pages_are_counted_by_mode(monkeypatch, expect):
    """In 'never' by another name: its limit is another."""
    counts = iter([10, 13, 20, 20])
    monkeypatch.setattr(thp, "events", lambda _: next(counts))
    with thp.counted("always", expect):
        pass
    with thp.counted("never", expect):
        pass
    assert expect.record.seen == {"thp_faults": [3], "thp_faults_in_never": [0]}


def test_events_are_read(tmp_path):
    """What is not counted is not zero."""
    file = tmp_path / "vmstat"
    file.write_text("thp_fault_alloc 12\nthp_fault_fallback 3\n")
    assert thp.events("thp_fault_alloc", file) == 12
    with pytest.raises(TestError, match="thp_fault"):
        thp.events("thp_fault", file)


def test_collapse_is_waited_for_and_no_longer(expect, behind, monkeypatch):
    """The share that was reached is what is observed, also when it was not enough."""
    counts = itertools.count()
    monkeypatch.setattr(thp, "events", lambda _: next(counts))
    behind[:] = [Mapping(1, resident=4096), Mapping(1, resident=4096, huge=4096)]
    thp.collapsed(Guest(), expect, thp.Collapses(), 0.8, 5)
    behind[:] = [Mapping(1, resident=4096, huge=2048)]
    thp.collapsed(Guest(), expect, thp.Collapses(), 0.8, 0.3)
    assert expect.record.seen["thp_collapsed"] == [1.0, 0.5]


def test_memory_that_is_huge_already_waits_for_khugepaged(expect, behind, monkeypatch):
    """Little of it was taken apart; that it is brought together is what is to be seen."""
    counts = [7, 7, 7, 9]
    monkeypatch.setattr(thp, "events", lambda _: counts.pop(0) if counts[1:] else counts[0])
    behind[:] = [Mapping(1, resident=4096, huge=4096)]
    since = thp.Collapses()
    with thp.collapses(expect, since):
        thp.collapsed(Guest(), expect, since, 0.8, 5)
    assert expect.record.seen["thp_collapses"] == [2]
    assert expect.record.seen["thp_collapsed"] == [1.0]


def test_khugepaged_that_does_nothing_is_not_waited_for_for_ever(expect, behind, monkeypatch):
    """None was made: that is what is observed."""
    monkeypatch.setattr(thp, "events", lambda _: 7)
    behind[:] = [Mapping(1, resident=4096, huge=4096)]
    with thp.collapses(expect) as since:
        thp.collapsed(Guest(), expect, since, 0.8, 0.3)
    assert expect.record.seen["thp_collapses"] == [0]
