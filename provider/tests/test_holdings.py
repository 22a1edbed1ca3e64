# SPDX-License-Identifier: GPL-2.0-or-later
"""What a guest holds of its host is found while it runs, and found when it was not freed."""

import fcntl
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from avocado.core.exceptions import TestFail

from provider.hvqual import holdings
from provider.hvqual.domain_xml import Disk, Spec
from provider.hvqual.operations import freed


def spec_of(path):
    """Return a guest with one disk."""
    return Spec("hvq-1-1", "u", 1, 131072, ("52:54:00:aa:bb:01",), (Disk(str(path), 1),))


@pytest.fixture
def spec(tmp_path):
    """Return a guest whose disk is there."""
    (tmp_path / "hvq-1.raw").write_bytes(b"")
    return spec_of(tmp_path / "hvq-1.raw")


def test_taps_of_a_process(tmp_path, monkeypatch):
    """The kernel tells the name of a tap with the file that holds it; a process that is gone holds none."""
    monkeypatch.setattr(holdings, "PROC", tmp_path)
    folder = tmp_path / "7/fdinfo"
    folder.mkdir(parents=True)
    (folder / "3").write_text("pos:\t0\nflags:\t0104002\nmnt_id:\t9\niff:\tvnet3\n")
    (folder / "4").write_text("pos:\t0\n")
    assert (holdings.taps(7), holdings.taps(8)) == ({"vnet3"}, set())


def test_a_lock_is_seen_while_it_is_held(spec):
    """A real lock on a real file, of the kind that QEMU takes."""
    assert holdings.locked(spec) == []
    with Path(spec.disk).open("rb+") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        assert holdings.locked(spec) == [spec.disk]
        assert holdings.left(spec, set()) == [f"lock on {spec.disk}"]
    assert holdings.left(spec, set()) == []


def test_a_link_that_stays_is_left(spec):
    """The loopback stands for a tap that nobody removed."""
    assert holdings.left(spec, {"lo", "hvq-none"}) == ["link lo"]


def test_huge_pages_that_stay_are_left(spec, tmp_path, monkeypatch):
    """The folder of a guest's huge pages goes with the guest."""
    monkeypatch.setattr(holdings, "HUGE", tmp_path)
    for name in ("4-hvq-1-1", "5-hvq-1-11"):
        (tmp_path / "hugepages1G/libvirt/qemu" / name).mkdir(parents=True)
    assert holdings.left(spec, set()) == [f"huge pages in {tmp_path}/hugepages1G/libvirt/qemu/4-hvq-1-1"]


class Record:
    """Keeps the problems."""

    def __init__(self):
        self.told = []

    def problem(self, what, message, _vm):
        self.told.append((what, message))


def host_of():
    """Return a host on which the guest's process is this one."""
    return SimpleNamespace(record=Record(), one_process=lambda _guest: os.getpid(), no_process=lambda _guest: None)


def test_a_guest_that_holds_nothing_cannot_be_seen_to_free_it(spec):
    """A check of what is left would pass without anything having been there."""
    host = host_of()
    with pytest.raises(TestFail, match="should hold taps and lock disks"):
        freed.held(SimpleNamespace(name="hvq-1-1", spec=spec), host)


def test_what_is_not_freed_is_a_leftover(spec, monkeypatch):
    """It is named."""
    monkeypatch.setattr(holdings, "SETTLE", 0.1)
    host = host_of()
    with pytest.raises(TestFail, match="still has link lo"):
        freed.frees(SimpleNamespace(name="hvq-1-1", spec=spec), host, {"lo"})
    assert [what for what, _ in host.record.told] == ["leftover"]
