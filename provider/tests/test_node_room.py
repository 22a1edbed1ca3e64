# SPDX-License-Identifier: GPL-2.0-or-later
"""What is over a process: limits of cgroups of both versions, affinity, and libvirt's own numbers of the node."""

import os

import pytest

from provider.hvqual import capability, node_room
from provider.hvqual.node_room import Room

V1 = "4:memory:/lab/hv-a/qemu\n3:cpuset:/lab\n1:cpu,cpuacct:/lab/hv-a\n0::/\n"
V2 = "0::/lab/hv-a/qemu\n"
GIB = 1024 * 1024


def write(folder, **contents):
    """Write files into a cgroup; '__' in a name is a dot."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in contents.items():
        (folder / name.replace("__", ".")).write_text(f"{text}\n")


@pytest.fixture
def one(tmp_path):
    """Return the root of a version 1 tree with a host of 10 GiB and 1.25 CPUs."""
    write(tmp_path / "memory/lab/hv-a/qemu", memory__limit_in_bytes=2**63 - 4096)
    write(tmp_path / "memory/lab/hv-a", memory__limit_in_bytes=10 * GIB * 1024)
    write(tmp_path / "memory", memory__limit_in_bytes=2**63 - 4096)
    write(tmp_path / "cpu,cpuacct/lab/hv-a", cpu__cfs_quota_us=25000, cpu__cfs_period_us=20000)
    write(tmp_path / "cpu,cpuacct/lab", cpu__cfs_quota_us=-1, cpu__cfs_period_us=100000)
    return tmp_path


@pytest.fixture
def two(tmp_path):
    """Return the same as version 2."""
    write(tmp_path / "lab/hv-a/qemu", memory__max="max", cpu__max="max 100000")
    write(tmp_path / "lab/hv-a", memory__max=10 * GIB * 1024, cpu__max="25000 20000")
    return tmp_path


def test_limits_of_version_1(one):
    """The host's limit counts for what runs below it; no limit is none."""
    assert capability.memory_limits_kib(V1, one) == [10 * GIB]
    assert capability.cpu_limits(V1, one) == [1.25]


def test_limits_of_version_2(two):
    """Likewise."""
    assert capability.memory_limits_kib(V2, two) == [10 * GIB]
    assert capability.cpu_limits(V2, two) == [1.25]


def test_no_cgroup_is_no_limit(tmp_path):
    """A node without limits gives all that libvirt counts."""
    assert capability.memory_limits_kib(V1, tmp_path) == []
    assert capability.cpu_limits(V1, tmp_path) == []


class Connection:
    """A libvirt connection that knows its node."""

    def __init__(self, cpus, memory_mib):
        self.cpus, self.memory_mib = cpus, memory_mib

    def getInfo(self):  # noqa: N802 - libvirt's name
        return ["x86_64", self.memory_mib, self.cpus, 1000, 1, 1, self.cpus, 1]


def test_room_around_a_process(tmp_path):
    """Libvirt's numbers where nothing is over the process; its affinity where that is less."""
    mine = len(os.sched_getaffinity(0))
    assert node_room.around(os.getpid(), Connection(512, 2048), tmp_path) == Room(mine, float(mine), 2048 * 1024)
    assert node_room.around(os.getpid(), Connection(1, 2048), tmp_path).cpus == 1


def test_rest_is_less_the_reserve():
    """Reserve first, then the scale; no scale is all."""
    room = Room(8, 8.0, 16 * GIB)
    assert node_room.rest(room, 1, 1024, 0) == Room(7, 7.0, 15 * GIB)
    assert node_room.rest(room, 1, 1024, 512) == Room(7, 7.0, GIB // 2)
    assert node_room.rest(Room(2, 1.25, GIB), 0, 0, 0).cpu_time == 1.25
