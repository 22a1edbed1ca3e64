# SPDX-License-Identifier: GPL-2.0-or-later
"""Which files of a campaign's folder are mirrored, the most telling first, and how much of each may be sent already."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from avocado_hvqual.health import copies

JOURNAL = "journal.jsonl"
REST = ("campaign.log", "journal.torn")
RECORD = "observations.jsonl"
EVIDENCE = "evidence"
LARGEST = 1 << 28
"""Bytes: a larger file of the evidence (a dump of a guest) is left on the node, and counted."""
_BACK = 1 << 16


def every(folder: Path) -> Iterator[str]:
    """Yield the paths, relative to the folder: what the campaign writes, what each test saw, then the evidence."""
    for name in (JOURNAL, *(path.name for path in copies.every(folder)), *REST):
        if _is_file(folder / name):
            yield name
    tests = sorted(_folders(folder))
    for test in tests:
        if _is_file(folder / test / RECORD):
            yield f"{test}/{RECORD}"
    for place in (EVIDENCE, *(f"{test}/{EVIDENCE}" for test in tests)):
        yield from _below(folder, place)


def _folders(folder: Path) -> Iterator[str]:
    for job in _entries(folder / "jobs"):
        for test in _entries(Path(job.path) / "test-results"):
            yield f"jobs/{job.name}/test-results/{test.name}"


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return the folders in a folder, links left out: avocado's point to what is there already."""
    try:
        with os.scandir(folder) as found:
            return [entry for entry in found if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _below(folder: Path, place: str) -> Iterator[str]:
    for path, folders, names in os.walk(folder / place):
        folders.sort()
        for name in sorted(names):
            if _is_file(Path(path, name)):
                yield os.path.relpath(Path(path, name), folder)


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def too_large(path: Path) -> bool:
    """Return whether a file is left on the node for its size."""
    try:
        return EVIDENCE in path.parts and path.stat().st_size > LARGEST
    except OSError:
        return False


def sendable(path: Path, size: int, *, last: bool) -> int:
    """
    Return how many of a file's *size* bytes may be sent: of a file of lines only whole ones, for a torn tail may be cut off again.

    The *last* time everything is, but for the journal, whose torn tail is put aside by who goes on with it.
    """
    is_lines = path.name.endswith((".jsonl", ".log"))
    if not is_lines or (last and path.name != JOURNAL):
        return size
    with path.open("rb") as file:
        while size > 0:
            start = max(0, size - _BACK)
            file.seek(start)
            end = file.read(size - start).rfind(b"\n")
            if end >= 0:
                return start + end + 1
            size = start
    return 0
