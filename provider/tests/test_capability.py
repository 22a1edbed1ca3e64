# SPDX-License-Identifier: GPL-2.0-or-later
"""What the node has for guests: its memory less the reserve, no more than is available, cut by cgroups and by the scale."""

import pytest
from avocado.core.exceptions import TestError

from provider.hvqual import capability

GIB = 1024 * 1024


@pytest.fixture
def node(monkeypatch):
    """Return a function that sets what the node has: CPUs, total and available memory, limits of cgroups (GiB)."""

    def have(cpus, total, available, limits=()):
        memory = {"MemTotal": int(total * GIB), "MemAvailable": int(available * GIB)}
        monkeypatch.setattr(capability.os, "sched_getaffinity", lambda pid: set(range(cpus)))
        monkeypatch.setattr(capability, "_meminfo_kib", memory.__getitem__)
        monkeypatch.setattr(capability, "_cgroup_limits_kib", lambda: [int(limit * GIB) for limit in limits])

    return have


@pytest.mark.parametrize(
    ("has", "reserve", "most_mib", "gib"),
    [
        ((16, 64, 61), (1, 8192), 0, 56),  # the host lives within its reserve
        ((16, 64, 40), (1, 8192), 0, 40),  # the host uses more than its reserve
        ((2, 24, 22, [10]), (0, 1024), 0, 9),  # a lab host has its budget
        ((2, 24, 6, [10]), (0, 1024), 0, 6),  # on a machine that is short
        ((16, 64, 61), (1, 8192), 2048, 2),  # scaled down
    ],
)
def test_memory_for_guests(node, has, reserve, most_mib, gib):
    """Total less reserve, or what is available, or the scale: the least."""
    node(*has)
    found = capability.capacity(*reserve, most_mib)
    assert found.memory_kib == gib * GIB
    assert found.cpus == has[0] - reserve[0]


@pytest.mark.parametrize(("cpus", "total"), [(1, 64), (2, 8)])
def test_a_reserve_that_leaves_nothing_is_refused(node, cpus, total):
    """Neither a CPU nor the memory of the least guest is left."""
    node(cpus, total, total)
    with pytest.raises(TestError, match=r"after the reserve; lower hv_reserve_\*"):
        capability.capacity(1, 8192, 0)
