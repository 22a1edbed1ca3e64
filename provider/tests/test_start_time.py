# SPDX-License-Identifier: GPL-2.0-or-later
"""The conditions of measured starts: groups that go round, images that are there, conditions that were not reached."""

import contextlib
import dataclasses
from pathlib import Path

import pytest
from avocado.core.exceptions import TestError
from hypothesis import given
from hypothesis import strategies as st

from provider.hvqual import page_cache, start_time
from provider.hvqual.cpu_use import Use
from provider.tests.test_host_config import WANTED

KERNEL, INITRD, PROGRAM = Path("/kernel"), Path("/initrd"), Path("/program")


@dataclasses.dataclass(frozen=True)
class Identity:
    host_config: str


class Record:
    """What a test told."""

    def __init__(self):
        self.seen, self.labels, self.capabilities = [], {}, {}

    def observe(self, name, value, unit, vm=None):
        self.seen.append((name, value, self.labels.get(vm)))

    def capability(self, name, reason, *, ok):
        self.capabilities[name] = ok

    def step(self, *_):
        return contextlib.nullcontext()


@dataclasses.dataclass(frozen=True)
class Case:
    identity: Identity
    wanted: object
    record: Record


def case_of(config="n_equal", **changes):
    """Return a case under a host configuration."""
    return Case(Identity(config), dataclasses.replace(WANTED, **changes), Record())


class Guest:
    """A guest with a name, an image and a flavor."""

    def __init__(self, name="hvq-1", flavor="small", image="micro"):
        self.name = name
        self.spec = type("Spec", (), {"flavor": flavor, "disks": ()})
        self.image = type("Image", (), {"name": image, "kernel": KERNEL, "initrd": INITRD})


class Stand:
    def __init__(self):
        self.case = case_of()


@given(st.integers(1, 12), st.integers(0, 12), st.integers(1, 12))
def test_groups_go_round(count, size, rounds):
    """Each group has its size and no guest twice; the turns of any two guests differ by one at most."""
    guests = list(range(count))
    if size > count:
        with pytest.raises(TestError, match="hv_burst asks for"):
            start_time.groups(guests, size, rounds)
        return
    found = start_time.groups(guests, size, rounds)
    assert len(found) == rounds
    assert all(len(set(group)) == len(group) == (size or count) for group in found)
    turns = [sum(guest in group for group in found) for guest in guests]
    assert max(turns) - min(turns) <= 1


def test_only_the_one_big_vm_is_parted():
    """Under single_big there are k equal VMs in its room; other configurations stay."""
    big = start_time.parted(case_of("single_big"), 3)
    assert (big.identity.host_config, big.wanted.vm_count) == ("n_equal", 3)
    assert start_time.parted(case_of("patterns"), 3).identity.host_config == "patterns"


def test_images_that_are_there(tmp_path):
    """An image that the node lacks is told and left out; one that it has is tried; the case's own comes once."""
    (tmp_path / "golden").mkdir()
    (tmp_path / "golden/manifest.json").touch()
    (tmp_path / "micro").mkdir()
    (tmp_path / "micro/manifest.json").touch()
    case = case_of(image_home=str(tmp_path))
    tried = [view.wanted.image for view in start_time.images_there(case, ["micro", "golden", "silver"])]
    assert tried == ["micro", "golden"]
    assert case.record.capabilities == {"image micro": True, "image golden": True, "image silver": False}


class Cache:
    """A page cache with what is in memory of each file; some cannot be evicted."""

    def __init__(self, monkeypatch, there, held=()):
        self.there, self.held = dict(there), set(held)
        for name in ("fill", "evict", "idle", "resident"):
            monkeypatch.setattr(page_cache, name, getattr(self, name))
        monkeypatch.setattr(start_time, "EVICTION", 0.1)

    def fill(self, files):
        self.there.update({file: 1.0 for file in files if file not in self.held})

    def evict(self, files):
        self.there.update({file: 0.0 for file in files if file not in self.held})

    def idle(self, files):
        return list(files)

    def resident(self, files):
        return sum(self.there[file] for file in files) / len(files)


def test_warm_is_filled(monkeypatch):
    """What a start reads is read before it."""
    Cache(monkeypatch, {KERNEL: 0.0, PROGRAM: 0.3})
    stand = Stand()
    start_time._warm(stand, Guest(), [KERNEL, PROGRAM])
    assert stand.case.record.seen == [("page_cache_resident", 1.0, "small, warm cache")]


def test_what_does_not_stay_is_not_warm(monkeypatch):
    """A node that drops at once what was read cannot be measured warm; how much stayed is observed."""
    Cache(monkeypatch, {KERNEL: 0.5}, held=[KERNEL])
    stand = Stand()
    with pytest.raises(TestError, match="50% of what the start"):
        start_time._warm(stand, Guest(), [KERNEL])
    assert stand.case.record.seen == [("page_cache_resident", 0.5, "small, warm cache")]


def test_cold_is_evicted(monkeypatch):
    """Nothing of it is left."""
    Cache(monkeypatch, {KERNEL: 1.0, INITRD: 1.0, PROGRAM: 1.0})
    stand = Stand()
    start_time._cold(stand, Guest(), [KERNEL, INITRD, PROGRAM])
    assert stand.case.record.seen == [("page_cache_resident", 0.0, "small, cold cache")]


def test_a_program_that_somebody_holds_is_told(monkeypatch):
    """Another QEMU elsewhere keeps the program in memory: the start is partly cold, and says so."""
    Cache(monkeypatch, {KERNEL: 1.0, INITRD: 1.0, PROGRAM: 0.6}, held=[PROGRAM])
    stand = Stand()
    start_time._cold(stand, Guest(), [KERNEL, INITRD, PROGRAM])
    assert stand.case.record.capabilities == {"cold page cache": False}
    assert stand.case.record.seen == [("page_cache_resident", pytest.approx(0.2), "small, partly cold cache")]


def test_a_kernel_that_stays_is_an_error(monkeypatch):
    """Nobody maps a guest's kernel: what stays of it was not evicted."""
    Cache(monkeypatch, {KERNEL: 1.0, INITRD: 1.0, PROGRAM: 1.0}, held=[KERNEL])
    with pytest.raises(TestError, match="cannot be made cold: /kernel stay in memory"):
        start_time._cold(Stand(), Guest(), [KERNEL, INITRD, PROGRAM])


@pytest.mark.parametrize(("seconds", "fits"), [(0.4, True), (0.11, True), (0.05, False), (0.0, False)])
def test_a_node_that_is_not_loaded_is_an_error(seconds, fits):
    """Half of what was asked for is load; the laziest vCPU counts."""
    stand = Stand()
    use = Use(Guest(), 1.0, (0.9, seconds), 0.0)
    with contextlib.nullcontext() if fits else pytest.raises(TestError, match="not loaded as asked"):
        start_time._loaded(stand, use, 20, 50)


def test_label_names_image_only_when_unusual():
    """What the report draws apart: image, flavor, condition."""
    stand = Stand()
    start_time._label(stand, Guest(), "cold cache")
    start_time._label(stand, Guest("hvq-2", "", "golden"), "3 loaded")
    assert stand.case.record.labels == {"hvq-1": "small, cold cache", "hvq-2": "golden, 3 loaded"}
