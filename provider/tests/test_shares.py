# SPDX-License-Identifier: GPL-2.0-or-later
"""What the host's kernel tells of threads and memory, read from this very process and from captured text."""

import os
import threading
import time

import pytest
from avocado.core.exceptions import TestError
from hypothesis import given
from hypothesis import strategies as st

from provider.hvqual import shares
from provider.hvqual.shares import Ram, Thread

SMAPS = """\
7f0000000000-7f0010000000 rw-p 00000000 00:00 0
Size:             262144 kB
KernelPageSize:        4 kB
Rss:              200000 kB
VmFlags: rd wr mr mw me ac sd mg
7f0020000000-7f0060000000 rwxp 00000000 00:00 0
Size:            1048576 kB
KernelPageSize:        4 kB
Rss:               90000 kB
7f0070000000-7f0078000000 rw-s 00000000 00:10 123 /dev/hugepages/libvirt/qemu/x (deleted)
Size:             131072 kB
KernelPageSize:     2048 kB
Rss:                   0 kB
Private_Hugetlb:  131072 kB
"""


def me():
    """Return this thread."""
    return Thread(os.getpid(), threading.get_native_id(), "python")


def test_cpu_time_is_of_this_thread_alone():
    """Who works is charged, who waits is not."""
    waiting = threading.Event()
    other = threading.Thread(target=waiting.wait)
    other.start()
    idle = Thread(os.getpid(), other.native_id, "waiting")
    before, other_before = shares.cpu_seconds(me()), shares.cpu_seconds(idle)
    end = time.thread_time() + 0.05
    while time.thread_time() < end:
        pass
    assert shares.cpu_seconds(me()) - before >= 0.04
    assert shares.cpu_seconds(idle) - other_before < 0.02
    waiting.set()
    other.join()


def test_a_thread_that_is_gone_is_no_measurement():
    """No thread, no number."""
    with pytest.raises(TestError, match="cannot be measured"):
        shares.cpu_seconds(Thread(os.getpid(), 2**22 + 1, "gone"))


def test_allowed_and_last_cpu():
    """A thread that is pinned may run on that CPU alone, and ran there."""
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        os.sched_yield()
        assert shares.allowed(me()) == {min(before)}
        assert shares.last_cpu(me()) == min(before)
    finally:
        os.sched_setaffinity(0, before)
    assert shares.allowed(me()) == before


def test_threads_by_name(monkeypatch, tmp_path):
    """vCPUs in their order, IOThreads, and neither main loop nor workers."""
    names = {
        1: "qemu-system-x86",
        2: "CPU 10/TCG",
        3: "CPU 2/KVM",
        4: "IO iothread1",
        5: "worker",
        6: "IO mon_iothread",
    }
    for tid, name in names.items():
        folder = tmp_path / "7/task" / str(tid)
        folder.mkdir(parents=True)
        (folder / "comm").write_text(f"{name}\n")
    monkeypatch.setattr(shares, "PROC", tmp_path)
    assert [thread.tid for thread in shares.vcpu_threads(7)] == [3, 2]
    assert [thread.tid for thread in shares.iothreads(7)] == [4]


def test_memory_behind_a_guest():
    """The mapping of exactly the guest's size, with huge pages counted; a larger one beside it is not the guest's."""
    lines = SMAPS.splitlines()
    assert shares.guest_memory(lines, (262144,)) == [Ram(200000, 4)]
    assert shares.guest_memory(lines, (131072,)) == [Ram(131072, 2048)]
    assert shares.guest_memory(lines, (131072, 262144)) == [Ram(131072, 2048), Ram(200000, 4)]
    assert shares.guest_memory(lines, (262143,)) is None
    assert shares.guest_memory(lines, (131072, 131072)) is None, "two DIMMs of a size are two mappings"
    assert shares.guest_memory([], (262144,)) is None


def test_cpu_lists():
    """As the kernel writes them."""
    assert shares.cpus("0-2,5\n") == {0, 1, 2, 5}
    assert shares.cpus("3") == {3}
    assert shares.cpus("\n") == set()


@given(st.lists(st.floats(0.001, 1e6), min_size=1))
def test_deviations_of_shares(values):
    """They sum up to nothing, and equal shares have none."""
    found = shares.deviations(values)
    assert abs(sum(found)) < 1e-6 * len(values)
    assert all(abs(one) < 1e-6 for one in shares.deviations([values[0]] * len(values)))


@pytest.mark.parametrize("values", [[], [0.0, 0.0]])
def test_no_use_is_no_equality(values):
    """Nobody got anything: that is not the same for all, it is nothing seen."""
    with pytest.raises(TestError, match="Nothing was used"):
        shares.deviations(values)


def test_one_that_is_throttled_stands_out():
    """One of four with half of the others' is 43 % below the mean."""
    assert min(shares.deviations([1.0, 1.0, 1.0, 0.5])) == pytest.approx(-0.4286, abs=1e-3)
