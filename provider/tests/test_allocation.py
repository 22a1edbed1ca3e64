# SPDX-License-Identifier: GPL-2.0-or-later
"""What was given against what was asked for: each difference is told, and what is not told is one."""

import dataclasses

import pytest

from provider.hvqual import allocation
from provider.hvqual.domain_xml import Disk, Spec

SPEC = Spec(
    name="hvq-1",
    uuid="u",
    vcpus=2,
    memory_kib=196608,
    macs=("52:54:00:00:00:02", "52:54:00:00:00:01"),
    disks=(Disk("/d/hvq-1.raw", 32), Disk("/d/hvq-1-1.raw", 16)),
    flavor="mixed",
    iothreads=1,
    pins=(0, 1),
    hugepage_kib=2048,
)
CHANGES = {
    "vCPUs": {"vcpus": 1},
    "memory (KiB)": {"memory_kib": 131072},
    "disks (bytes)": {"disks": (Disk("/d/hvq-1.raw", 32),)},
    "network interfaces": {"macs": ("52:54:00:00:00:01",)},
    "IOThreads": {"iothreads": 2},
    "pins": {"pins": (0, 0)},
    "huge pages (KiB)": {"hugepage_kib": 0},
}


def test_same_is_no_difference():
    """Facts in another order are the same facts."""
    told = allocation.of_model(dataclasses.replace(SPEC, macs=tuple(reversed(SPEC.macs))))
    assert allocation.differences("libvirt", allocation.of_model(SPEC), told) == []


@pytest.mark.parametrize("fact", CHANGES)
def test_each_difference_is_told(fact):
    """One fact that differs is one sentence that names who, what, found and expected."""
    wanted = allocation.of_model(SPEC)
    told = allocation.of_model(dataclasses.replace(SPEC, **CHANGES[fact]))
    (sentence,) = allocation.differences("libvirt", wanted, told)
    assert sentence == f"libvirt gives {fact} {told[fact]} instead of {wanted[fact]}."


def test_every_fact_of_the_model_is_changed_here():
    """A fact that is added is added to the proof."""
    assert set(CHANGES) == set(allocation.of_model(SPEC))


def test_silence_differs():
    """Who tells nothing gives nothing."""
    assert len(allocation.differences("the host", allocation.of_model(SPEC), {})) == len(CHANGES)
