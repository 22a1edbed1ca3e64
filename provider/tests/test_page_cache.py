# SPDX-License-Identifier: GPL-2.0-or-later
"""What is in the page cache is seen, and can be put there and taken out, for real files of this machine."""

import mmap
import os
from pathlib import Path

import pytest

from provider.hvqual import page_cache

SIZE = 4 * 1024 * 1024
# What a disk-backed file system is told by; a tmpfs is the page cache, nothing can be evicted from it.
MEMORY_FILE_SYSTEMS = {"tmpfs", "ramfs", "overlay"}


@pytest.fixture
def file(tmp_path):
    """Return a file of 4 MiB on a file system that has a disk behind it."""
    for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
        _, where, kind, *_ = line.split()
        if str(tmp_path).startswith(where) and kind in MEMORY_FILE_SYSTEMS:
            pytest.skip(f"{tmp_path} is on {kind}")
        if str(tmp_path).startswith(where):
            break
    path = tmp_path / "hvq-file"
    path.write_bytes(os.urandom(SIZE))
    return path


def test_written_is_resident_and_evicted_is_not(file):
    """What was just written is in memory; evicted it is not; filled it is again."""
    assert page_cache.resident([file]) == 1.0
    page_cache.evict([file])
    assert page_cache.resident([file]) < 0.05
    page_cache.fill([file])
    assert page_cache.resident([file]) == 1.0


def test_part_of_a_file(file):
    """A quarter that was read (without read-ahead) is a quarter."""
    page_cache.evict([file])
    descriptor = os.open(file, os.O_RDONLY)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)
    os.pread(descriptor, SIZE // 4, 0)
    os.close(descriptor)
    assert 0.2 <= page_cache.resident([file]) <= 0.3


def test_to_look_reads_nothing(file):
    """Asking does not bring pages in: else a cold start would never be cold."""
    page_cache.evict([file])
    page_cache.resident([file])
    assert page_cache.resident([file]) < 0.05


def test_mapped_files_are_seen_and_not_idle(file):
    """A file that a process has mapped is one of its files, and is not idle until it is unmapped."""
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), SIZE, access=mmap.ACCESS_READ):
        assert file in page_cache.mapped_files(os.getpid())
        assert page_cache.idle([file]) == []
    assert page_cache.idle([file]) == [file]


def test_nothing_is_not_resident(tmp_path):
    """No page is no part."""
    empty = tmp_path / "empty"
    empty.touch()
    assert page_cache.resident([empty]) == 0.0
    assert page_cache.resident([]) == 0.0
    with pytest.raises(FileNotFoundError):
        page_cache.resident([tmp_path / "missing"])
