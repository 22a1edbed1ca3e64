# SPDX-License-Identifier: GPL-2.0-or-later
"""Cgroups of version 1, version 2 and both, on folders that look like them."""

from pathlib import Path

import pytest

from avocado_hvqual.lab import cgroups
from avocado_hvqual.lab.budget import Budget
from avocado_hvqual.lab.cgroups import Hierarchy

BUDGET = Budget(cpus=1.25, memory_bytes=1 << 30, processes=100)
HYBRID = """\
24 1 0:22 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
25 24 0:23 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid - cgroup cgroup rw,cpu,cpuacct
26 24 0:24 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory
27 24 0:25 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,release_agent=/lib/systemd/agent,name=systemd
28 24 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate
29 24 0:24 / /elsewhere/memory rw - cgroup cgroup rw,memory
"""
PURE = "30 23 0:27 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n"


def test_hybrid_mounts_are_told_apart_and_each_counts_once():
    root = Path("/sys/fs/cgroup")
    assert cgroups.parse_mounts(HYBRID) == [
        Hierarchy(root / "cpu,cpuacct", 1, ("cpu", "cpuacct")),
        Hierarchy(root / "memory", 1, ("memory",)),
        Hierarchy(root / "systemd", 1, ("name=systemd",)),
        Hierarchy(root / "unified", 2),
    ]


def test_unified_mount():
    assert cgroups.parse_mounts(PURE) == [Hierarchy(Path("/sys/fs/cgroup"), 2)]


def test_mount_point_with_a_blank():
    line = r"30 23 0:27 / /odd\040place rw - cgroup2 cgroup2 rw"
    assert cgroups.parse_mounts(line)[0].mount == Path("/odd place")


def test_lines_that_are_no_mounts_are_passed_over():
    assert cgroups.parse_mounts("nonsense\n\n") == []


def fake_cgroup(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def test_version_1_limits_are_written_into_the_lowest_folder_alone(tmp_path):
    for folder in (tmp_path, tmp_path / "a", tmp_path / "a/b"):
        fake_cgroup(folder, cpu__cfs_quota_us="25000", cpu__shares="1024")
    folders = cgroups.create("a/b", BUDGET, [Hierarchy(tmp_path, 1, ("cpu",))])
    assert folders == [tmp_path / "a/b"]
    assert (tmp_path / "a/b/cpu.shares").read_text() == "1280"
    assert (tmp_path / "a/b/cpu.cfs_quota_us").read_text() == "-1"
    assert (tmp_path / "a/cpu.shares").read_text() == "1024"


def test_version_1_cpuset_is_filled_from_above_because_nobody_can_enter_an_empty_one(tmp_path):
    fake_cgroup(tmp_path, cpuset__cpus="0-3\n", cpuset__mems="0\n")
    fake_cgroup(tmp_path / "a", cpuset__cpus="\n", cpuset__mems="\n")
    cgroups.create("a", BUDGET, [Hierarchy(tmp_path, 1, ("cpuset",))])
    assert (tmp_path / "a/cpuset.cpus").read_text() == "0-3"
    assert (tmp_path / "a/cpuset.mems").read_text() == "0"


def test_version_1_cpuset_that_is_narrower_is_kept(tmp_path):
    fake_cgroup(tmp_path, cpuset__cpus="0-3\n")
    fake_cgroup(tmp_path / "a", cpuset__cpus="1\n")
    cgroups.create("a", BUDGET, [Hierarchy(tmp_path, 1, ("cpuset",))])
    assert (tmp_path / "a/cpuset.cpus").read_text() == "1\n"


def test_version_2_hands_controllers_on_and_limits(tmp_path):
    for folder in (tmp_path, tmp_path / "a", tmp_path / "a/b"):
        fake_cgroup(folder, cgroup__controllers="cpu memory pids rdma\n", cgroup__subtree_control="")
    fake_cgroup(tmp_path / "a/b", cpu__weight="100", cpu__max="25000 20000", memory__max="max", pids__max="max")
    cgroups.create("a/b", BUDGET, [Hierarchy(tmp_path, 2)])
    # A plain file keeps the last write; the kernel adds each.
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+pids"
    assert (tmp_path / "a/cgroup.subtree_control").read_text() == "+pids"
    assert (tmp_path / "a/b/cgroup.subtree_control").read_text() == ""
    assert (tmp_path / "a/b/cpu.weight").read_text() == "125"
    assert (tmp_path / "a/b/cpu.max").read_text() == "max"
    assert (tmp_path / "a/b/memory.max").read_text() == str(1 << 30)
    assert (tmp_path / "a/b/pids.max").read_text() == "100"


def test_missing_limits_are_named(tmp_path):
    fake_cgroup(tmp_path / "one", cpu__weight="")
    fake_cgroup(tmp_path / "two", pids__max="")
    assert cgroups.limits_missing([tmp_path / "one", tmp_path / "two"]) == ["memory"]
    assert cgroups.limits_missing([tmp_path / "one"]) == ["memory", "pids"]


def test_refused_write_names_file_and_value(tmp_path):
    (tmp_path / "cpu.max").mkdir()
    with pytest.raises(OSError, match=r"writing 'max'.*cpu\.max"):
        cgroups.limit(tmp_path, BUDGET)


def test_remove_takes_the_lowest_first_and_empty_parents_along(tmp_path):
    (tmp_path / "avocado-hvqual/lab1/hv-a/machine/guest").mkdir(parents=True)
    cgroups.remove("avocado-hvqual/lab1", [Hierarchy(tmp_path, 1)])
    assert list(tmp_path.iterdir()) == []


def test_remove_leaves_another_lab_alone(tmp_path):
    (tmp_path / "avocado-hvqual/lab1/hv-a").mkdir(parents=True)
    (tmp_path / "avocado-hvqual/lab2/hv-a").mkdir(parents=True)
    cgroups.remove("avocado-hvqual/lab1", [Hierarchy(tmp_path, 1)])
    assert [path.name for path in (tmp_path / "avocado-hvqual").iterdir()] == ["lab2"]
