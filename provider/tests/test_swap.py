# SPDX-License-Identifier: GPL-2.0-or-later
"""Swap for a while and memory taken from a guest: undone in order, refused for what is not ours, told when nothing happens."""

import contextlib
from pathlib import Path

import pytest
from avocado.core.exceptions import TestCancel, TestError, TestFail

from provider.hvqual import pressure, swap, undo_swap
from provider.hvqual.host_state import HostStateError
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

    def do(before, after, *, told=None):
        looks = [before, after]
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
        pressure.squeezed(type("Guest", (), {"name": "hvq-1"})(), expect, 0.25)
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


def test_no_memory_cgroup_is_an_error(monkeypatch):
    """It cannot be squeezed then."""
    monkeypatch.setattr(pressure.host_process, "cgroup_folders", lambda _: [Path("/nowhere")])
    with pytest.raises(TestError, match="cannot be limited"):
        pressure._of_cgroup(type("Guest", (), {"name": "hvq-1"})(), pressure.USAGE)
