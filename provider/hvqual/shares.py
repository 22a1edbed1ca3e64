# SPDX-License-Identifier: GPL-2.0-or-later
"""
Who got how much of the node, by the host's own accounting: CPU time of each vCPU's thread, memory in use behind a guest.

XML says what was asked for; the scheduler's clocks and the page tables say what was given.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from avocado.core.exceptions import TestError

PROC = Path("/proc")
VCPU = re.compile(r"CPU (\d+)/(?:KVM|TCG)")
# libvirt numbers its IOThreads; QEMU has one of its own for monitors.
IOTHREAD = re.compile(r"IO iothread\d+")
NANO = 1e-9
TOLD = re.compile(r"\d{1,5}(-\d{1,5})?(,\d{1,5}(-\d{1,5})?)*", re.ASCII)
# The field 'processor' of proc(5)'s stat is the 39th of the line; the 3rd is the first behind the name, which may hold blanks.
PROCESSOR = 39 - 3


@dataclass(frozen=True)
class Thread:
    """One thread of a QEMU."""

    pid: int
    tid: int
    name: str

    @property
    def folder(self) -> Path:
        """Where the kernel tells of it."""
        return PROC / str(self.pid) / "task" / str(self.tid)


@dataclass(frozen=True)
class Ram:
    """The memory behind a guest's memory, in KiB: how much of it is in use, and the size of its pages."""

    resident_kib: int
    page_kib: int


def threads(pid: int) -> list[Thread]:
    """Return the threads of the process, by the names that QEMU gives them."""
    found = []
    for folder in (PROC / str(pid) / "task").iterdir():
        try:
            name = (folder / "comm").read_text(encoding="utf-8", errors="replace").strip()
        except (FileNotFoundError, ProcessLookupError):
            # A worker of QEMU's pool that ended meanwhile.
            continue
        found.append(Thread(pid, int(folder.name), name))
    return found


def vcpu_threads(pid: int) -> list[Thread]:
    """Return the threads of the vCPUs in their order; empty when QEMU has no thread for each."""
    numbered = [(int(found[1]), thread) for thread in threads(pid) if (found := VCPU.fullmatch(thread.name))]
    return [thread for _, thread in sorted(numbered, key=lambda pair: pair[0])]


def iothreads(pid: int) -> list[Thread]:
    """Return the IOThreads."""
    return [thread for thread in threads(pid) if IOTHREAD.fullmatch(thread.name)]


def cpu_seconds(thread: Thread) -> float:
    """Return the CPU time of the thread so far; TestError when it is gone, as then nothing was measured."""
    try:
        return int((thread.folder / "schedstat").read_text(encoding="ascii").split()[0]) * NANO
    except (OSError, IndexError, ValueError) as error:
        message = f"The thread '{thread.name}' ({thread.tid}) cannot be measured: {error}"
        raise TestError(message) from None


def allowed(thread: Thread) -> set[int]:
    """Return the host CPUs on which the thread may run."""
    for line in (thread.folder / "status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("Cpus_allowed_list:"):
            return cpus(line.split(":", 1)[1])
    message = f"{thread.folder / 'status'} has no 'Cpus_allowed_list'."
    raise TestError(message)


def last_cpu(thread: Thread) -> int:
    """Return the host CPU on which the thread ran last."""
    text = (thread.folder / "stat").read_text(encoding="utf-8", errors="replace")
    return int(text[text.rindex(")") + 2 :].split()[PROCESSOR])


def cpus(text: str) -> set[int]:
    """Return the CPUs of a list such as '0-2,5'."""
    found: set[int] = set()
    for part in text.strip().split(","):
        if part.strip():
            first, _, last = part.partition("-")
            found.update(range(int(first), int(last or first) + 1))
    return found


def told_cpus(text: str) -> set[int]:
    """Return the CPUs of a list that a guest wrote; none where it is no list, as a guest can write anything."""
    return cpus(text) if TOLD.fullmatch(text.strip()) else set()


def deviations(values: Sequence[float]) -> list[float]:
    """Return how far each of *values* is from their mean, as a part of it; TestError when nobody got anything."""
    mean = sum(values) / len(values) if values else 0.0
    if mean <= 0:
        message = f"Nothing was used, so nobody's share can be told: {list(values)}."
        raise TestError(message)
    return [(value - mean) / mean for value in values]


def ram(pid: int, pieces_kib: Sequence[int]) -> list[Ram] | None:
    """Return what stands behind the pieces of a guest's memory, None when QEMU has no mapping of exactly that size for each."""
    return guest_memory(
        (PROC / str(pid) / "smaps").read_text(encoding="utf-8", errors="replace").splitlines(), pieces_kib
    )


def guest_memory(smaps: Iterable[str], pieces_kib: Sequence[int]) -> list[Ram] | None:
    """Return the mappings of exactly *pieces_kib* in the lines of an smaps file, the most used of each size; None when one is missing."""
    entry: dict[str, int] = {}
    entries = [entry]
    for line in smaps:
        name, _, value = line.partition(":")
        if re.fullmatch(r"[0-9a-f]+-[0-9a-f]+ \S+ .*", line):
            entry = {}
            entries.append(entry)
        elif value.endswith(" kB"):
            entry[name] = int(value.split()[0])
    held = ("Rss", "Private_Hugetlb", "Shared_Hugetlb")
    found = []
    for size in sorted(set(pieces_kib)):
        matching = [
            Ram(sum(one.get(key, 0) for key in held), one.get("KernelPageSize", 0))
            for one in entries
            if one.get("Size") == size
        ]
        wanted = list(pieces_kib).count(size)
        if len(matching) < wanted:
            return None
        found += sorted(matching, key=_held, reverse=True)[:wanted]
    return found


def _held(found: Ram) -> int:
    return found.resident_kib
