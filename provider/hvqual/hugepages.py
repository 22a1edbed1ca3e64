# SPDX-License-Identifier: GPL-2.0-or-later
"""
Huge pages in exact numbers: who holds how many of them, after each operation and when all is over.

Three count them, each on its own: the page tables of each QEMU (smaps), the kernel's pool (nr, free, reserved, surplus), and the
cgroup that holds everything of this host, where the kernel counts huge pages by cgroup. The pool is the machine's: where somebody
else takes from it too, only the other two are exact (what is not ours is told as such).
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from provider.hvqual import capability, host_config, host_process, host_state, smaps
from provider.hvqual.domain_xml import Spec
from provider.hvqual.host_config import Shape
from provider.hvqual.settings_file import read_setting
from provider.hvqual.steps import fail
from provider.hvqual.wait import WaitTimeoutError, until

if TYPE_CHECKING:
    from provider.hvqual.expect import Expect
    from provider.hvqual.guests import Guest
    from provider.hvqual.record import Record

POOL = Path("/sys/kernel/mm/hugepages")
MOUNTS = Path("/proc/self/mounts")
MIB_KIB, GIB_KIB = 1024, 1024 * 1024
SETTLE = 10.0
DEFAULT_KIB = 2048
# What the kernel calls a pool page of this size in the cgroups' files.
UNITS = ((GIB_KIB, "GB"), (MIB_KIB, "MB"), (1, "KB"))


@dataclass(frozen=True)
class Pool:
    """The kernel's pool of one size of page, in pages."""

    total: int
    free: int
    reserved: int
    surplus: int

    @property
    def used(self) -> int:
        """Pages that somebody holds."""
        return self.total - self.free

    @property
    def promised(self) -> int:
        """Pages that somebody holds or was promised: nobody else can have them."""
        return self.used + self.reserved


def pool(size_kib: int, root: Path = POOL) -> Pool:
    """Return the kernel's pool of pages of *size_kib*."""
    names = ("nr_hugepages", "free_hugepages", "resv_hugepages", "surplus_hugepages")
    return Pool(*(int(read_setting(root / f"hugepages-{size_kib}kB" / name)) for name in names))


def backed(shape: Shape, size_kib: int) -> Shape:
    """Return *shape* with its memory in huge pages of *size_kib*, rounded up to whole ones."""
    return dataclasses.replace(shape, hugepage_kib=size_kib, memory_kib=pages(shape.memory_kib, size_kib) * size_kib)


def none(shape: Shape) -> Shape:
    """Return *shape* with its memory in pages of the usual size, whatever its flavor asks for."""
    return dataclasses.replace(shape, hugepage_kib=0)


def sized(shape: Shape, size_kib: int) -> Shape:
    """Return *shape* with its memory in huge pages of *size_kib*, or in none for 0."""
    return backed(shape, size_kib) if size_kib else none(shape)


def pages(memory_kib: int, size_kib: int) -> int:
    """Return how many pages of *size_kib* hold *memory_kib*."""
    return -(-memory_kib // size_kib)


def wanted_kib(spec: Spec) -> int:
    """Return what a guest must hold of hugetlbfs while it runs: each piece of its memory in whole pages, or nothing."""
    if not spec.hugepage_kib:
        return 0
    return sum(pages(piece, spec.hugepage_kib) * spec.hugepage_kib for piece in spec.pieces_kib)


def require(size_kib: int, shapes: Sequence[Shape], record: Record) -> None:
    """Cancel the case where guests of *shapes* cannot have pages of *size_kib*: no such size, not mounted, or not to be had."""
    name = f"huge pages of {size_kib} KiB"
    reason = capability.huge_pages(size_kib) or _not_mounted(size_kib)
    count = host_config.huge_pages([backed(shape, size_kib) for shape in shapes])[size_kib]
    if not reason:
        try:
            with host_state.huge_pages(size_kib, count):
                pass
        except host_state.HostStateError as error:
            reason = f"{count} of them cannot be had: {error}"
    capability.require(name, reason or f"{count} of them", record, ok=not reason)


def _not_mounted(size_kib: int, mounts: Path = MOUNTS) -> str:
    """Return '' where a hugetlbfs with pages of this size is mounted, from which libvirt gives them; else what is missing."""
    found: set[int] = set()
    for line in mounts.read_text(encoding="utf-8").splitlines():
        _, _, kind, options, *_ = line.split()
        if kind == "hugetlbfs":
            found.update(_size(one) for one in options.split(",") if one.startswith("pagesize="))
    if size_kib in found:
        return ""
    return f"no hugetlbfs with pages of {size_kib} KiB is mounted, those there have {sorted(found) or 'none'}"


def _size(option: str) -> int:
    """Return the KiB of a mount option such as 'pagesize=2M'."""
    text = option.partition("=")[2]
    number, unit = text.rstrip("kKmMgG"), text[-1:].lower()
    return int(number) * {"g": GIB_KIB, "m": MIB_KIB, "k": 1}.get(unit, 1)


def counter(size_kib: int, root: Path = capability.CGROUP) -> int | None:
    """Return how many pages of *size_kib* everything in this host's own cgroup holds, None where the kernel does not count that."""
    unit, name = next((unit, name) for unit, name in UNITS if size_kib >= unit)
    for place in (root / "unified", root):
        file = place / f"hugetlb.{size_kib // unit}{name}.current"
        if file.is_file():
            return int(file.read_text(encoding="ascii")) // (size_kib * 1024)
    return None


def exact(guest: Guest, expect: Expect) -> None:
    """
    Expect that the guest's QEMU holds exactly the huge pages that its memory takes, and none when it is off.

    Observe pages_exact, and pages_held (count). A guest without huge pages holds none: then hugetlb_held (KiB) is observed.
    """
    spec, wanted = guest.spec, wanted_kib(guest.spec)
    found = [one for process in host_process.emulators(guest.name) for one in smaps.mappings(process.pid)]
    held = sum(one.hugetlb for one in found)
    if not guest.on:
        wanted = 0
    if not spec.hugepage_kib:
        expect.record.observe("hugetlb_held", held, "KiB", guest.name)
        return
    ram = smaps.guest_ram(found, spec.pieces_kib)
    sizes = {one.page for one in ram} or {0}
    good = held == wanted and (not guest.on or sizes == {spec.hugepage_kib})
    expect.record.observe("pages_held", held // spec.hugepage_kib, "count", guest.name)
    expect.record.observe("pages_exact", good, "bool", guest.name)
    if not good:
        message = (
            f"'{guest.name}' should hold {wanted} KiB in huge pages of {spec.hugepage_kib} KiB, its QEMU holds {held} KiB of "
            f"hugetlbfs and has its memory in pages of {sorted(sizes)} KiB."
        )
        fail(expect.record, "wrong-result", message, guest.name)


def add_up(guests: Sequence[Guest], expect: Expect) -> None:
    """
    Expect that guests that run hold all the pages of hugetlbfs that this host's cgroup counts, where it does; observe pages_exact.

    That the pool has given out as many at the least is expected too; others may hold some of it.
    """
    for size in sorted({guest.spec.hugepage_kib or DEFAULT_KIB for guest in guests}):
        mine = [guest for guest in guests if guest.spec.hugepage_kib == size]
        wanted = sum(wanted_kib(guest.spec) for guest in mine) // size
        counted, used = counter(size), pool(size).used
        good = counted in {None, wanted} and used >= wanted
        expect.record.observe("pages_exact", good, "bool")
        if not good:
            message = (
                f"{len(mine)} guests together should hold {wanted} huge pages of {size} KiB; this host's cgroup counts {counted}, "
                f"the kernel's pool has given out {used}."
            )
            fail(expect.record, "wrong-result", message, None)


@dataclass(frozen=True)
class Count:
    """Who holds huge pages of one size now: by process and by file in hugetlbfs (KiB), by cgroup and by the pool (pages)."""

    processes: dict[int, int]
    files: dict[str, int]
    cgroup: int | None
    pool: Pool


def count(size_kib: int) -> Count:
    """Return who holds huge pages of *size_kib* now."""
    return Count(smaps.hugetlb_holders(), _files(), counter(size_kib), pool(size_kib))


def _files(mounts: Path = MOUNTS) -> dict[str, int]:
    """Return the files that lie in a hugetlbfs, by the size that they take (KiB): pages outlive the processes that mapped them."""
    found = {}
    for line in mounts.read_text(encoding="utf-8").splitlines():
        _, place, kind, *_ = line.split()
        if kind == "hugetlbfs":
            for top, _, names in os.walk(place):
                for name in names:
                    with contextlib.suppress(FileNotFoundError):
                        found[f"{top}/{name}"] = (Path(top) / name).stat().st_blocks // 2
    return found


@contextlib.contextmanager
def balanced(size_kib: int, expect: Expect) -> Iterator[None]:
    """
    Hold the block, after which all guests are off, to the pages that were in use before it; observe pages_leaked (count).

    One sample for each who counts: processes, files, this host's cgroup, the kernel's pool (and what it has promised).
    """
    before = count(size_kib)
    yield
    left, after = left_since(before, size_kib), count(size_kib)
    for who in ("processes", "files", "cgroup", "pool"):
        if who != "cgroup" or after.cgroup is not None:
            expect.record.observe("pages_leaked", left.get(who, 0), "count")
    if left:
        told = ", ".join(f"{pid} ({_command(pid)})" for pid in after.processes if pid not in before.processes)
        message = (
            f"Huge pages of {size_kib} KiB are left behind, by who counts them: {left}. Processes: {told or 'none'}."
        )
        fail(expect.record, "leftover", message, None)


def left_since(before: Count, size_kib: int) -> dict[str, int]:
    """Return how many pages more than *before* are held, by who counts, once what is given back had time to be."""
    with contextlib.suppress(WaitTimeoutError):
        until(lambda: not _leaks(before, count(size_kib), size_kib), SETTLE, "huge pages to be given back")
    return _leaks(before, count(size_kib), size_kib)


def _leaks(before: Count, after: Count, size_kib: int) -> dict[str, int]:
    """Return how many pages more are held *after* than *before*, by who counts; none that are not more."""
    more = {
        "processes": (sum(after.processes.values()) - sum(before.processes.values())) // size_kib,
        "files": (sum(after.files.values()) - sum(before.files.values())) // size_kib,
        "cgroup": (after.cgroup or 0) - (before.cgroup or 0),
        "pool": after.pool.promised - before.pool.promised,
    }
    return {who: pages for who, pages in more.items() if pages > 0}


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return (host_process.PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").replace("\0", " ")[:120]
    return "gone"
