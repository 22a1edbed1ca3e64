# SPDX-License-Identifier: GPL-2.0-or-later
"""What stands behind the memory of a process, mapping by mapping, as its page tables have it (/proc/PID/smaps)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from provider.hvqual.host_process import PROC

HEAD = re.compile(r"([0-9a-f]+)-[0-9a-f]+ \S+ .*")
BASE_PAGE_KIB = 4
# The kernel's mark of a mapping for which transparent huge pages were asked by madvise(2).
ADVISED = "hg"


@dataclass(frozen=True)
class Mapping:
    """One mapping of a process; sizes in KiB."""

    start: int
    size: int = 0
    resident: int = 0
    """In use, pages of hugetlbfs not counted."""
    huge: int = 0
    """Of `resident`: in transparent huge pages."""
    hugetlb: int = 0
    """In pages of hugetlbfs, private or shared."""
    swap: int = 0
    page: int = BASE_PAGE_KIB
    flags: frozenset[str] = frozenset()

    @property
    def held(self) -> int:
        """All of it that is in memory."""
        return self.resident + self.hugetlb


def mappings(pid: int, proc: Path = PROC) -> list[Mapping]:
    """Return the mappings of the process *pid*; none when it is gone."""
    try:
        text = (proc / str(pid) / "smaps").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return []
    return parse(text.splitlines())


def parse(lines: Iterable[str]) -> list[Mapping]:
    """Return the mappings in the lines of an smaps file."""
    found: list[tuple[int, dict[str, str]]] = []
    for line in lines:
        head = HEAD.fullmatch(line)
        if head:
            found.append((int(head[1], 16), {}))
        elif found:
            name, _, value = line.partition(":")
            found[-1][1][name] = value
    return [_mapping(start, told) for start, told in found]


def _mapping(start: int, told: dict[str, str]) -> Mapping:
    def kib(name: str) -> int:
        value = told.get(name, "").split()
        return int(value[0]) if value and value[0].isdigit() else 0

    return Mapping(
        start=start,
        size=kib("Size"),
        resident=kib("Rss"),
        huge=kib("AnonHugePages") + kib("ShmemPmdMapped"),
        hugetlb=kib("Private_Hugetlb") + kib("Shared_Hugetlb"),
        swap=kib("Swap"),
        page=kib("KernelPageSize") or BASE_PAGE_KIB,
        flags=frozenset(told.get("VmFlags", "").split()),
    )


def guest_ram(found: Sequence[Mapping], pieces_kib: Sequence[int]) -> list[Mapping]:
    """Return the mappings of exactly *pieces_kib*, the most used of each size; empty when QEMU has not one for each."""
    chosen: list[Mapping] = []
    for size in sorted(set(pieces_kib)):
        matching = sorted((one for one in found if one.size == size), key=_used, reverse=True)
        wanted = list(pieces_kib).count(size)
        if len(matching) < wanted:
            return []
        chosen += matching[:wanted]
    return chosen


def _used(one: Mapping) -> int:
    return one.held + one.swap


def hugetlb_holders(proc: Path = PROC) -> dict[int, int]:
    """Return how much of hugetlbfs (KiB) each process holds that this one can see; those that hold none are left out."""
    found = {}
    for folder in proc.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            (whole,) = parse((folder / "smaps_rollup").read_text(encoding="utf-8", errors="replace").splitlines())
        except (OSError, ValueError):
            # Gone meanwhile, or a thread of the kernel, which maps nothing.
            continue
        if whole.hugetlb:
            found[int(folder.name)] = whole.hugetlb
    return found
