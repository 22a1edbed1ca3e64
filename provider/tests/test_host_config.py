# SPDX-License-Identifier: GPL-2.0-or-later
"""What each VM of a host configuration gets of a node, and flavor files that are wrong."""

import dataclasses
import os
import re

import pytest
from avocado.core.exceptions import TestError
from hypothesis import given
from hypothesis import strategies as st

from provider.hvqual import capability, flavors, host_config
from provider.hvqual.capability import Capacity
from provider.hvqual.params import Guests

WANTED = Guests(
    image="micro",
    image_home="",
    vm_count=1,
    job_share=100,
    at_once=0,
    least_memory_mib=128,
    flavors="flavors_lab.ini",
    flavors_only=(),
    warm=False,
    reserve_cpus=0,
    reserve_memory_mib=0,
    max_memory_mib=0,
    disk_mib=64,
    disk_format="raw",
    disk_folder="/d",
    ready_timeout=1,
    login_timeout=1,
    shutdown_timeout=1,
    operation_timeout=1,
    ipi_timeout=1,
    ipi_slow=0.01,
    hold=1,
    witness_port=1,
    network="default",
    qemu_binary="/usr/bin/qemu",
)
GIB = 1024 * 1024
GOOD = "[a]\nvcpus = 1\nmemory_mib = 128\ndisks_mib = 32\nnics = 1\niothreads = 0\npinning = no\nhugepages = no\n"


def wanted(**changes):
    """Return what a case wants of its guests, with changes."""
    return dataclasses.replace(WANTED, **changes)


def test_patterns_are_of_those_flavors_that_are_named():
    """One VM of each, in the order of the file; none named is all of them."""
    some = host_config.shapes("patterns", wanted(flavors_only=("mixed", "small")), Capacity(8, 4 * GIB))
    every = host_config.shapes("patterns", WANTED, Capacity(8, 4 * GIB))
    assert [shape.vcpus for shape in some] == [1, 2]
    assert [len(shape.disks_mib) for shape in some] == [1, 2]
    assert len(every) == 5


def test_flavor_that_the_file_does_not_have_is_refused(tmp_path):
    """Not one VM less, silently; the sentence names those that there are."""
    (tmp_path / "f.ini").write_text(GOOD)
    with pytest.raises(TestError, match=r"hv_flavors_only names b, c, but the flavors of '.*f.ini' are a\. Name some"):
        flavors.load(str(tmp_path / "f.ini"), ("b", "a", "c"))


def test_single_big_gets_all():
    """One VM with every CPU and all the memory that the node gives."""
    (one,) = host_config.shapes("single_big", WANTED, Capacity(8, 4 * GIB))
    assert (one.vcpus, one.memory_kib) == (8, 4 * GIB)


@given(st.integers(1, 64), st.integers(1, 512), st.integers(256 * 1024, 1024 * GIB))
def test_equal_shares_are_equal_and_fit(count, cpus, memory):
    """n VMs get the same, and no more memory together than the node gives; a share that boots nothing is refused."""
    try:
        found = host_config.shapes("n_equal", wanted(vm_count=count), Capacity(cpus, memory))
    except TestError:
        assert memory // count < host_config.LEAST_KIB + host_config.UNIT_KIB
        return
    assert len(found) == count
    assert len(set(found)) == 1
    assert sum(shape.memory_kib for shape in found) <= memory
    assert found[0].vcpus == max(1, cpus // count)


@given(st.integers(2, 512), st.integers(512 * 1024, 1024 * GIB))
def test_the_nodes_maximum(cpus, memory):
    """Without a count there are as many VMs as CPUs or least shares, whichever is fewer, and two at the least."""
    found = host_config.shapes("n_equal", wanted(vm_count=0), Capacity(cpus, memory))
    assert len(found) == max(2, min(cpus, memory // host_config.LEAST_KIB))


def test_patterns_are_the_flavors_of_the_file():
    """One VM of each flavor, with its disks, interfaces, IOThreads and pins on CPUs that this process may use."""
    found = host_config.shapes("patterns", WANTED, Capacity(2, GIB))
    assert [shape.flavor for shape in found] == [flavor.name for flavor in flavors.load("flavors_lab.ini")]
    assert len(found) >= 5
    for shape in found:
        assert set(shape.pins) <= os.sched_getaffinity(0)
        assert len(shape.pins) in (0, shape.vcpus)


def test_reserved_cpus_are_nobodys_pin(monkeypatch):
    """The reserve is the node's first CPUs: of four with one reserved, pins are on the other three."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3})
    pins = {cpu for shape in host_config.shapes("patterns", WANTED, Capacity(3, GIB)) for cpu in shape.pins}
    assert pins == {1, 2, 3}


def test_huge_pages_of_flavors():
    """As many of each size as the VMs need together; none when none asks."""
    one = host_config.Shape(1, 128 * 1024, (32,), hugepage_kib=2048)
    big = host_config.Shape(1, GIB + 1, (32,), hugepage_kib=GIB)
    plain = host_config.Shape(1, 128 * 1024, (32,))
    assert host_config.huge_pages([one, plain, one, big]) == {2048: 128, GIB: 2}
    assert host_config.huge_pages([plain]) == {}


def test_huge_pages_of_the_kernel(tmp_path):
    """A size that the kernel lacks is answered with those that it has."""
    (tmp_path / "hugepages-2048kB").mkdir()
    assert capability.huge_pages(2048, tmp_path) == ""
    assert capability.huge_pages(GIB, tmp_path) == "the kernel's sizes are [2048] KiB"
    assert capability.huge_pages(2048, tmp_path / "none") == "the kernel has none of any size"


def test_patterns_that_do_not_fit_are_refused():
    """Flavors that ask for more than the node gives are named with both numbers."""
    with pytest.raises(TestError, match="take 1024 MiB together, the node gives 512 MiB"):
        host_config.shapes("patterns", WANTED, Capacity(2, GIB // 2))


def test_both_shipped_files_hold_the_kinds_of_the_requirement():
    """Small, CPU-, memory- and I/O-optimised and mixed, in the lab's file and in production's."""
    kinds = ["small", "cpu-optimised", "memory-optimised", "io-optimised", "mixed"]
    for name in ("flavors.ini", "flavors_lab.ini"):
        assert [flavor.name for flavor in flavors.load(name)] == kinds


def test_identity_follows_from_the_name():
    """The same name gives the same uuid and MACs, another one others: a saved guest goes on only as itself."""
    shapes = host_config.shapes("patterns", WANTED, Capacity(2, GIB))
    one, same, other = (host_config.specs(shapes, stem, WANTED) for stem in ("hvq-a", "hvq-a", "hvq-b"))
    assert one == same
    macs = [mac for spec in [*one, *other] for mac in spec.macs]
    assert len(set(macs)) == len(macs)
    assert len({spec.uuid for spec in [*one, *other]}) == len(one) + len(other)
    assert all(re.fullmatch(r"52:54:00(:[0-9a-f]{2}){3}", mac) for mac in macs)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", r":1: there is no flavor"),
        (GOOD.replace("vcpus = 1", "vcpus = 0"), r":2: vcpus is '0', expected a whole number from 1"),
        (GOOD.replace("vcpus = 1", "vcpus = 1.5"), r":2: vcpus is '1.5'"),
        (GOOD.replace("nics = 1\n", ""), r":1: \[a\] does not say nics"),
        (GOOD + "ram = 5\n", r":9: 'ram' is none of vcpus"),
        (GOOD.replace("pinning = no", "pinning = maybe"), r":7: pinning is 'maybe', expected one of no, yes"),
        (GOOD.replace("hugepages = no", "hugepages = 4M"), r":8: hugepages is '4M', expected one of no, 2M, 1G"),
        (GOOD.replace("disks_mib = 32", "disks_mib ="), r":4: disks_mib is ''"),
        (GOOD.replace("[a]", "[A b]"), r":1: 'A b' is no name of a flavor"),
        (GOOD + GOOD, r"already exists"),
        ("vcpus = 1\n", r"cannot be read"),
    ],
)
def test_wrong_flavor_file(tmp_path, text, told):
    """Each mistake is told with file and line, before anything is touched."""
    path = tmp_path / "flavors.ini"
    path.write_text(text)
    with pytest.raises(TestError, match=told) as caught:
        flavors.load(str(path))
    assert str(path) in str(caught.value)


def test_every_mistake_is_told_at_once(tmp_path):
    """Two mistakes are one message."""
    path = tmp_path / "flavors.ini"
    path.write_text(GOOD.replace("vcpus = 1", "vcpus = x").replace("nics = 1", "nics = 99"))
    with pytest.raises(TestError, match=r":2: vcpus.*:5: nics"):
        flavors.load(str(path))


def test_missing_flavor_file():
    """A file that is not there is told by its name and the parameter that gives another."""
    with pytest.raises(TestError, match=r"/nowhere/f\.ini.*hv_flavors"):
        flavors.load("/nowhere/f.ini")
