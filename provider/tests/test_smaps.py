# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel says of a process's memory is read for what it is: huge pages of both kinds, swap, flags."""

import mmap
import os

from provider.hvqual import smaps

TEXT = """\
7f00-7f80 rw-p 00000000 00:00 0
Size:             131072 kB
KernelPageSize:        4 kB
Rss:               65536 kB
AnonHugePages:     32768 kB
Shared_Hugetlb:        0 kB
Private_Hugetlb:       0 kB
Swap:               1024 kB
VmFlags: rd wr mr mw me dc ac sd hg
8f00-8f80 rw-p 00000000 00:0f 77 /dev/hugepages/libvirt/qemu/1-hvq/qemu_back_mem.pc.ram (deleted)
Size:             131072 kB
KernelPageSize:     2048 kB
Rss:                   0 kB
Shared_Hugetlb:     2048 kB
Private_Hugetlb:  129024 kB
VmFlags: rd wr ht
"""


def test_mappings_are_read():
    """Pages of hugetlbfs are no part of Rss; both kinds are told apart."""
    small, huge = smaps.parse(TEXT.splitlines())
    assert (small.start, small.size, small.resident, small.huge, small.swap, small.page) == (
        0x7F00,
        131072,
        65536,
        32768,
        1024,
        4,
    )
    assert smaps.ADVISED in small.flags
    assert (huge.hugetlb, huge.held, huge.page) == (131072, 131072, 2048)
    assert smaps.ADVISED not in huge.flags


def test_guest_memory_is_the_most_used_mapping_of_its_size():
    """One mapping for each piece, or nothing is known."""
    found = smaps.parse(TEXT.splitlines())
    assert smaps.guest_ram(found, (131072,)) == [found[1]]
    assert len(smaps.guest_ram(found, (131072, 131072))) == 2
    assert smaps.guest_ram(found, (131072, 4096)) == []


def test_a_real_mapping_is_found():
    """This process's own smaps shows what it wrote."""
    with mmap.mmap(-1, 4 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as area:
        area[:] = b"x" * len(area)
        assert any(one.resident >= 4096 for one in smaps.mappings(os.getpid()))


def test_a_process_that_is_gone_has_no_mappings():
    """Between two looks a process may end."""
    assert smaps.mappings(2**22 + 1) == []


def test_holders_of_huge_pages_are_told(tmp_path):
    """Only processes that hold some; what cannot be read is nobody's."""
    for pid, kib in (("11", 4096), ("12", 0)):
        (tmp_path / pid).mkdir()
        (tmp_path / pid / "smaps_rollup").write_text(f"0-1 ---p 0 00:00 0 [rollup]\nPrivate_Hugetlb: {kib} kB\n")
    (tmp_path / "13").mkdir()
    (tmp_path / "self").mkdir()
    assert smaps.hugetlb_holders(tmp_path) == {11: 4096}
