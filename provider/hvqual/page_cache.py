# SPDX-License-Identifier: GPL-2.0-or-later
"""
The node's page cache, file by file: what of a file is in memory, and how to have it read from the disk again.

No drop_caches: only the files of one guest are evicted, for nothing else on the node may become slow by a test of ours.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Iterable
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)


def mapped_files(pid: int) -> list[Path]:
    """Return the regular files that the process *pid* has mapped: its program, libraries and modules."""
    found = set()
    for line in Path(f"/proc/{pid}/maps").read_text(encoding="utf-8", errors="replace").splitlines():
        words = line.split(maxsplit=5)
        if len(words) > 5 and words[5].startswith("/"):  # noqa: PLR2004 - address, rights, offset, device, inode, path
            found.add(Path(words[5]))
    return sorted(path for path in found if path.is_file())


def idle(files: Iterable[Path]) -> list[Path]:
    """
    Return those of *files* that no process has mapped now.

    A library that libvirtd uses itself stays in memory on each node on which a guest can be started: its pages cannot be
    evicted, and no start on such a node is colder than that.
    """
    wanted = {str(path): path for path in files}
    busy: set[str] = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                busy.update(str(path) for path in mapped_files(int(folder.name)))
            except OSError:
                # The process ended while it was looked at; it maps nothing any more.
                continue
    return [path for name, path in wanted.items() if name not in busy]


def fill(files: Iterable[Path]) -> None:
    """Read the files, so that their pages are in the page cache."""
    for path in files:
        with path.open("rb") as file:
            while file.read(1 << 20):
                pass


def evict(files: Iterable[Path]) -> None:
    """Write the files back and drop their pages from the page cache; those that a process has mapped stay."""
    for path in files:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def resident(files: Iterable[Path]) -> float:
    """Return which part of the pages of *files* is in the page cache: 0.0 to 1.0, 0.0 for empty files."""
    there = total = 0
    for path in files:
        held, pages = _pages(path)
        there += held
        total += pages
    return there / total if total else 0.0


def _pages(path: Path) -> tuple[int, int]:
    """Return how many pages of the file are in memory, and how many it has; mincore(2)."""
    size = path.stat().st_size
    if not size:
        return 0, 0
    count = -(-size // mmap.PAGESIZE)
    answer = (ctypes.c_ubyte * count)()
    # Private and writable only so that ctypes gives its address; nothing is written, and no page is read in by mapping it.
    with path.open("rb") as file, mmap.mmap(file.fileno(), size, access=mmap.ACCESS_COPY) as area:
        first = ctypes.c_char.from_buffer(area)
        try:
            status = _LIBC.mincore(ctypes.c_void_p(ctypes.addressof(first)), ctypes.c_size_t(size), answer)
        finally:
            # The area cannot be closed while something points into it.
            del first
    if status:
        number = ctypes.get_errno()
        raise OSError(number, f"mincore: {os.strerror(number)}", str(path))
    return sum(value & 1 for value in answer), count
