# SPDX-License-Identifier: GPL-2.0-or-later
"""Huge pages are counted exactly: too few, too many and left ones are each told by whoever counts them."""

import contextlib
import dataclasses

import pytest
from avocado.core.exceptions import TestCancel, TestFail

from provider.hvqual import host_state, hugepages
from provider.hvqual.host_config import Shape
from provider.hvqual.host_process import Emulator
from provider.hvqual.hugepages import Count, Pool
from provider.hvqual.smaps import Mapping
from provider.tests.support import Record

SHAPE = Shape(1, 129 * 1024, (32,))
QUIET = Count({}, {}, 0, Pool(10, 10, 0, 0))


@pytest.fixture
def expect():
    """As much of an Expect as is needed."""
    return type("Expect", (), {"record": Record()})()


class Guest:
    """A guest of 64 huge pages."""

    name = "hvq-1"

    def __init__(self, on=True, page=2048):
        self.on = on
        self.spec = type("Spec", (), {"hugepage_kib": page, "pieces_kib": (131072,)})()


@pytest.fixture
def shown(monkeypatch):
    """What the host shows of QEMU."""
    found = []
    monkeypatch.setattr(hugepages.host_process, "emulators", lambda _: [Emulator(1, (), "")] if found else [])
    monkeypatch.setattr(hugepages.smaps, "mappings", lambda _: found)
    return found


def test_memory_is_rounded_up_to_whole_pages():
    """129 MiB take 65 pages of 2 MiB, and one of a GiB."""
    assert hugepages.backed(SHAPE, 2048) == dataclasses.replace(SHAPE, hugepage_kib=2048, memory_kib=65 * 2048)
    assert hugepages.sized(SHAPE, 1048576).memory_kib == 1048576
    assert hugepages.sized(hugepages.backed(SHAPE, 2048), 0).hugepage_kib == 0


def test_exact_pages_are_met(expect, shown):
    """As many as its memory takes, in pages of the size."""
    shown.append(Mapping(1, size=131072, hugetlb=131072, page=2048))
    hugepages.exact(Guest(), expect)
    assert expect.record.seen == {"pages_held": [64], "pages_exact": [True]}


@pytest.mark.parametrize(
    "mapping",
    [
        Mapping(1, size=131072, resident=131072),
        Mapping(1, size=131072, hugetlb=131072 - 2048, page=2048),
        Mapping(1, size=131072, hugetlb=131072 + 2048, page=2048),
    ],
)
def test_other_than_exact_pages_are_told(expect, shown, mapping):
    """Small pages behind it, one missing, one too many."""
    shown.append(mapping)
    with pytest.raises(TestFail, match="should hold 131072 KiB in huge pages of 2048 KiB"):
        hugepages.exact(Guest(), expect)
    assert expect.record.seen["pages_exact"] == [False]


def test_a_guest_that_is_off_holds_none(expect, shown):
    """What a QEMU holds that should be gone is told."""
    hugepages.exact(Guest(on=False), expect)
    assert expect.record.seen["pages_held"] == [0]
    shown.append(Mapping(1, size=131072, hugetlb=131072, page=2048))
    with pytest.raises(TestFail, match="should hold 0 KiB"):
        hugepages.exact(Guest(on=False), expect)


def test_a_guest_without_them_tells_what_it_holds(expect, shown):
    """The limit on it is the case's."""
    shown.append(Mapping(1, size=131072, hugetlb=2048, page=2048))
    hugepages.exact(Guest(page=0), expect)
    assert expect.record.seen == {"hugetlb_held": [2048]}


@pytest.mark.parametrize(
    ("after", "who"),
    [
        (dataclasses.replace(QUIET, processes={7: 2048}), "processes"),
        (dataclasses.replace(QUIET, files={"/dev/hugepages/x": 2048}), "files"),
        (dataclasses.replace(QUIET, cgroup=1), "cgroup"),
        (dataclasses.replace(QUIET, pool=Pool(10, 9, 0, 0)), "pool"),
        (dataclasses.replace(QUIET, pool=Pool(10, 10, 1, 0)), "pool"),
    ],
)
def test_a_page_that_is_left_is_told_by_who_counts_it(monkeypatch, expect, after, who):
    """Each of them alone is enough."""
    counts = [QUIET]
    monkeypatch.setattr(hugepages, "count", lambda _: counts[-1])
    monkeypatch.setattr(hugepages, "SETTLE", 0.1)
    with pytest.raises(TestFail, match=f"left behind.*{who}"), hugepages.balanced(2048, expect):
        counts.append(after)
    assert sum(expect.record.seen["pages_leaked"]) == 1


def test_what_is_given_back_is_no_leak(monkeypatch, expect):
    """A pool that grew, and pages that others gave back meanwhile, are none either."""
    counts = [QUIET]
    monkeypatch.setattr(hugepages, "count", lambda _: counts[-1])
    with hugepages.balanced(2048, expect):
        counts.append(dataclasses.replace(QUIET, pool=Pool(20, 20, 0, 0)))
    assert expect.record.seen["pages_leaked"] == [0, 0, 0, 0]


def test_a_node_that_has_no_such_pages_cancels(monkeypatch, expect):
    """Not mounted, or not to be had: the reason says which."""
    monkeypatch.setattr(hugepages.capability, "huge_pages", lambda _: "")
    monkeypatch.setattr(hugepages, "_not_mounted", lambda _: "not mounted")
    with pytest.raises(TestCancel, match="not mounted"):
        hugepages.require(2048, [SHAPE], expect.record)
    monkeypatch.setattr(hugepages, "_not_mounted", lambda _: "")

    @contextlib.contextmanager
    def refuse(_size, count):
        message = f"no {count}"
        raise host_state.HostStateError(message)
        yield

    monkeypatch.setattr(hugepages.host_state, "huge_pages", refuse)
    with pytest.raises(TestCancel, match="65 of them cannot be had: no 65"):
        hugepages.require(2048, [SHAPE], expect.record)
    monkeypatch.setattr(hugepages.host_state, "huge_pages", lambda *_: contextlib.nullcontext())
    hugepages.require(2048, [SHAPE], expect.record)
    assert expect.record.answers[-1] == ("huge pages of 2048 KiB", "65 of them", True)


@pytest.mark.parametrize(("option", "size"), [("2M", 2048), ("1G", 1048576), ("1024M", 1048576)])
def test_mounts_are_known_by_their_pages(tmp_path, option, size):
    """However the kernel writes the size."""
    mounts = tmp_path / "mounts"
    mounts.write_text(f"hugetlbfs /h hugetlbfs rw,pagesize={option} 0 0\ntmpfs /t tmpfs rw 0 0\n")
    assert hugepages._not_mounted(size, mounts) == ""
    assert "no hugetlbfs" in hugepages._not_mounted(size + 1, mounts)


def test_the_cgroup_of_this_host_counts(tmp_path):
    """Where the kernel does."""
    assert hugepages.counter(2048, tmp_path) is None
    (tmp_path / "hugetlb.2MB.current").write_text("4194304\n")
    assert hugepages.counter(2048, tmp_path) == 2
    (tmp_path / "unified").mkdir()
    (tmp_path / "unified" / "hugetlb.1GB.current").write_text("1073741824\n")
    assert hugepages.counter(1048576, tmp_path) == 1


@pytest.mark.parametrize(
    ("counted", "used", "good"), [(64, 64, True), (None, 70, True), (63, 64, False), (64, 63, False)]
)
def test_guests_that_run_hold_what_is_counted(monkeypatch, expect, counted, used, good):
    """More may be out of the pool, for others; not of this host's cgroup."""
    monkeypatch.setattr(hugepages, "counter", lambda _: counted)
    monkeypatch.setattr(hugepages, "pool", lambda _: Pool(100, 100 - used, 0, 0))
    with contextlib.nullcontext() if good else pytest.raises(TestFail, match="should hold 64 huge pages"):
        hugepages.add_up([Guest()], expect)
    assert expect.record.seen["pages_exact"] == [good]
