# SPDX-License-Identifier: GPL-2.0-or-later
"""Swap for a while and memory taken from a guest: undone in order, refused for what is not ours, told when nothing happens."""

import contextlib
import dataclasses
from pathlib import Path

import pytest
from avocado.core.exceptions import TestCancel, TestError, TestFail

from provider.hvqual import marks, pressure, swap, undo_actions, undo_libvirt, undo_swap
from provider.hvqual.host_state import HostStateError, undone
from provider.hvqual.smaps import Mapping
from provider.tests.support import Record


def test_swap_in_use_is_known_by_its_path(tmp_path):
    """The whole path, not a part of it."""
    swaps = tmp_path / "swaps"
    swaps.write_text("Filename Type Size Used Priority\n/dev/zram0 partition 524284 0 100\n")
    assert undo_swap.in_use("/dev/zram0", swaps)
    assert not undo_swap.in_use("/dev/zram", swaps)


def test_only_our_swap_is_taken_away(tmp_path):
    """A zram device that nobody used before, or a file of ours."""
    assert undo_swap.refuse_swap({"path": "/dev/zram0"}, tmp_path) is None
    assert undo_swap.refuse_swap({"path": "/x/hvq-swap-1"}, tmp_path) is None
    assert "others may swap" in undo_swap.refuse_swap({"path": "/dev/sda2"}, tmp_path)


def test_taking_away_what_is_gone_is_no_failure(monkeypatch, tmp_path):
    """Undone twice is undone."""
    monkeypatch.setattr(undo_swap, "in_use", lambda _: False)
    assert undo_swap.swap_off({"path": "/x/hvq-swap-1"}, tmp_path)[0] == "gone"


def test_swap_that_stays_is_a_failed_undo(monkeypatch, tmp_path):
    """The kernel's list decides, not the exit status."""
    monkeypatch.setattr(undo_swap, "in_use", lambda _: True)
    monkeypatch.setattr(undo_swap.subprocess, "run", lambda *_, **__: type("Done", (), {"returncode": 0, "stderr": ""}))
    assert undo_swap.swap_off({"path": "/x/hvq-swap-1"}, tmp_path)[0] == "failed"


def test_a_zram_device_that_is_in_use_is_not_taken(tmp_path):
    """Its size is not 0."""
    (tmp_path / "zram0").mkdir()
    (tmp_path / "zram0" / "disksize").write_text("1048576\n")
    with pytest.raises(HostStateError, match="no zram device that nobody uses"):
        swap._free_zram(tmp_path)


def test_a_node_without_swap_cancels(monkeypatch):
    """With what stood in the way."""

    @contextlib.contextmanager
    def refuse(*_):
        message = "no zram here"
        raise HostStateError(message)
        yield

    monkeypatch.setattr(swap, "area", refuse)
    record = Record()
    with pytest.raises(TestCancel, match="no zram here"):
        swap.require("zram", 64, "/x", record)
    with pytest.raises(TestError, match="hv_swap_kind"):
        swap.require("tape", 64, "/x", record)


@pytest.fixture
def squeeze(monkeypatch, tmp_path):
    """Return a function that squeezes a guest whose cgroup has 100 MiB in use, as its memory is before and after."""

    def do(*looks, told=None):
        looks = list(looks)
        (tmp_path / "memory.usage_in_bytes").write_text(str(100 << 20))
        monkeypatch.setattr(pressure.host_process, "cgroup_folders", lambda _: [tmp_path])
        monkeypatch.setattr(pressure.thp, "ram_of", lambda _: [looks[0] if len(looks) == 1 else looks.pop(0)])
        monkeypatch.setattr(pressure, "SETTLE", 0.1)
        limits = []

        def act(_operation, _name, options):
            limits.append(int(options.split()[1]))
            (tmp_path / "memory.limit_in_bytes").write_text(str(limits[-1] // 4 * 4096))

        domain = type("Domain", (), {"memoryParameters": lambda *_: {"hard_limit": told or limits[-1]}})()
        truth = type("Truth", (), {"lookup": lambda *_: domain})()
        expect = type("Expect", (), {"record": Record(), "truth": truth, "act": staticmethod(act)})()
        pressure._squeeze(type("Guest", (), {"name": "hvq-1"})(), expect, 0.25)
        return limits, expect.record.seen

    return do


def test_what_is_squeezed_is_swapped_and_split(squeeze):
    """A quarter of what is behind the guest is taken off what the cgroup has in use."""
    before, after = Mapping(1, resident=40960, huge=40960), Mapping(1, resident=30720, huge=20480, swap=10240)
    assert squeeze(before, after) == ([100 * 1024 - 10240], {"swapped_out": [10240], "thp_split": [20480]})


def test_a_limit_that_is_not_there_is_told(squeeze):
    """libvirt says another one than was asked for."""
    before = Mapping(1, resident=40960, huge=40960)
    with pytest.raises(TestFail, match="should be limited to"):
        squeeze(before, before, told=pressure.UNLIMITED)


def test_a_limit_without_effect_is_told(squeeze):
    """Nothing is swapped out."""
    before = Mapping(1, resident=40960, huge=40960)
    with pytest.raises(TestFail, match="nothing of its memory was swapped out"):
        squeeze(before, before)


def test_what_is_not_the_guest_s_may_go_first(squeeze):
    """Nothing of the guest's memory is swapped out at the first limit, so there is a second one, lower by the same again."""
    same, after = Mapping(1, resident=40960, huge=40960), Mapping(1, resident=30720, huge=20480, swap=10240)
    limits, _ = squeeze(*[same] * 4, after)
    assert limits[:2] == [100 * 1024 - 10240, 100 * 1024 - 20480]
    assert len(limits) == 2


def test_the_limits_are_lifted_before_the_swap_goes_also_after_a_failure(monkeypatch, tmp_path):
    """Else what is swapped out comes back beyond the limit, and the kernel ends the guests."""
    done = []
    for name in ("swap_off", "lift_memory_limit"):
        known = undo_actions.ACTIONS[name]
        ran = dataclasses.replace(
            known, run=lambda details, _, name=name: (done.append((name, details)), ("restored", ""))[1]
        )
        monkeypatch.setitem(undo_actions.ACTIONS, name, ran)
    monkeypatch.setenv("AVOCADO_HVQUAL_HOME", str(tmp_path))

    class Stand:
        guests = (type("Guest", (), {"name": "hvq-1"}), type("Guest", (), {"name": "hvq-2"}))
        expect = type("Expect", (), {"uri": "qemu:///system"})

        def each(self, *_):
            message = "nothing was swapped out"
            raise TestFail(message)

    with pytest.raises(TestFail, match="nothing was"), undone("swap_off", path="/dev/zram9"):
        with pressure.squeezing(Stand(), 0.3):
            pass
    assert [name for name, _ in done] == ["lift_memory_limit", "lift_memory_limit", "swap_off"]
    assert [details["name"] for _, details in done[:2]] == ["hvq-2", "hvq-1"]


class Limited:
    """A running domain with a limit, which it keeps where it *stays*."""

    def __init__(self, *, limit=134000, ours=True, runs=True, stays=False):
        self.limit, self.ours, self.runs, self.stays = limit, ours, runs, stays

    def name(self):
        return "hvq-1"

    def XMLDesc(self, _flags):  # noqa: N802 - libvirt's name
        return f"<domain><metadata>{marks.owner_element('c', 1) if self.ours else ''}</metadata></domain>"

    def isActive(self):  # noqa: N802
        return self.runs

    def memoryParameters(self, _flags):  # noqa: N802
        return {"hard_limit": self.limit}

    def setMemoryParameters(self, parameters, flags):  # noqa: N802
        assert flags == marks.libvirt_module().VIR_DOMAIN_AFFECT_LIVE
        self.limit = self.limit if self.stays else parameters["hard_limit"]


@pytest.mark.parametrize(
    ("domains", "status"),
    [
        ([Limited()], "restored"),
        ([Limited(stays=True)], "failed"),
        ([Limited(limit=1 << 53)], "gone"),
        ([Limited(ours=False)], "gone"),
        ([Limited(runs=False)], "gone"),
        ([], "gone"),
    ],
)
def test_a_limit_is_lifted_and_asked_for(monkeypatch, tmp_path, domains, status):
    """Of what runs and is ours."""

    @contextlib.contextmanager
    def connection(_uri):
        yield type("Connection", (), {"listAllDomains": lambda *_: domains})()

    monkeypatch.setattr(undo_libvirt, "connection", connection)
    found, told = undo_actions.run("lift_memory_limit", {"name": "hvq-1"}, tmp_path, same_boot=True)
    assert found == status, told
    assert all(one.limit == 134000 for one in domains if not one.ours or not one.runs)


def test_no_memory_cgroup_is_an_error(monkeypatch):
    """It cannot be squeezed then."""
    monkeypatch.setattr(pressure.host_process, "cgroup_folders", lambda _: [Path("/nowhere")])
    with pytest.raises(TestError, match="cannot be limited"):
        pressure._of_cgroup(type("Guest", (), {"name": "hvq-1"})(), pressure.USAGE)
