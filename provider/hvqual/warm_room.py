# SPDX-License-Identifier: GPL-2.0-or-later
"""
The room that save files of warm guests take: each build, shape and network has a set of its own, and nobody else ever removes one.

What was not used for longest goes first. A set is held by everybody who uses it, in whatever process, and none that is held is touched.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

MOST_BYTES = 24 << 30
"""So much may lie there, and no more than half of what the disk has for it; a set that is held just now counts, and stays."""
SET = re.compile(r"[0-9a-f]{16}")
FILES = "*.save*"


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the set in *folder*, which is made if it is not there, for the block; it is the one that was used last."""
    descriptor = _hold(folder)
    try:
        os.utime(folder)
        yield
    finally:
        os.close(descriptor)


def bound(home: Path, most: Optional[int] = None) -> list[str]:
    """
    Remove sets below *home* that nobody holds, until no more than *most* bytes (`room`) are left; return those that went.

    What was not used for longest goes first. What cannot be removed stays, and stops nothing.
    """
    used = {path: _used(path) for path in _sets(home)}
    sizes = {path: _size(path) for path in used}
    left, gone = sum(sizes.values()), []
    most = room(home, left) if most is None else most
    for path in sorted(used, key=lambda one: used[one]):
        if left <= most:
            break
        if _removed(path):
            left -= sizes[path]
            gone.append(path.name)
    return gone


def room(home: Path, used: int) -> int:
    """Return how many bytes the sets below *home* may take, which take *used* now; two builds' were 9 GiB, and the disk is not ours."""
    if not home.is_dir():
        return MOST_BYTES
    return min(MOST_BYTES, (used + shutil.disk_usage(home).free) // 2)


def _hold(folder: Path) -> int:
    """Return a descriptor that holds the folder as it is there now: one that was removed in between holds nothing."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), folder.stat()):
                return descriptor
        os.close(descriptor)


def _sets(home: Path) -> Iterator[Path]:
    """Yield what is a set of ours by its name; a link leads elsewhere and is none."""
    if home.is_dir():
        yield from (
            path for path in home.iterdir() if SET.fullmatch(path.name) and path.is_dir() and not path.is_symlink()
        )


def _used(folder: Path) -> float:
    """Return when the set was used last; one that somebody else removed just now was never."""
    try:
        return folder.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _size(folder: Path) -> int:
    """Return the bytes that the set takes on the disk, files that a killed process left half written too."""
    total = 0
    for path in folder.glob(FILES):
        with contextlib.suppress(FileNotFoundError):
            total += path.lstat().st_blocks * 512
    return total


def _removed(folder: Path) -> bool:
    """Remove a set, unless somebody holds it; return whether it is gone. What is not of a set stays, and its folder with it."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for path in folder.glob(FILES):
            path.unlink()
        with contextlib.suppress(OSError):
            folder.rmdir()
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
