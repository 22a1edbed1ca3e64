# SPDX-License-Identifier: GPL-2.0-or-later
"""
Transparent huge pages of the node: what its kernel is set to, what it really does, and how much of a guest's memory lies in them.

QEMU asks for them for its guests' memory (madvise), so that a guest gets them under ``always`` and ``madvise`` alike. What tells
the two apart is memory of a process that did not ask: the probe here is one. The setting is the machine's, not a guest's.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import mmap
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from avocado.core.exceptions import TestError

from provider.hvqual import host_process, load, smaps
from provider.hvqual.host_state import kernel_setting
from provider.hvqual.settings_file import read_setting
from provider.hvqual.steps import fail
from provider.hvqual.wait import WaitTimeoutError, until

if TYPE_CHECKING:
    from provider.hvqual.domain_xml import Spec
    from provider.hvqual.expect import Expect
    from provider.hvqual.guests import Guest

FOLDER = Path("/sys/kernel/mm/transparent_hugepage")
VMSTAT = Path("/proc/vmstat")
MODES = ("always", "madvise", "never")
MIB = 1024 * 1024
# A mapping of this size holds a whole huge page wherever it begins.
PROBE = 8 * MIB
FAULTS, COLLAPSES = "thp_fault_alloc", "thp_collapse_alloc"
# Without pauses, over as much at a time, and over whatever is not in use or not in memory.
BUSY = {"defrag": 1, "scan_sleep_millisecs": 10, "alloc_sleep_millisecs": 10, "pages_to_scan": 65536}
TICK = 0.01
# Write so many MiB and say how long it took (by /proc/uptime: Perl without a module is in every image of the contract).
FILL = r"""
sub up { open(my $file, "<", "/proc/uptime") or die; return (split(" ", <$file>))[0] }
my $size = $ARGV[0] << 20;
my $start = up();
my $data = "\1" x $size;
my $took = up() - $start;
my $huge = 0;
if (open(my $file, "<", "/proc/self/smaps_rollup")) { while (<$file>) { $huge = $1 if /^AnonHugePages:\s+(\d+)/ } }
print "seconds=$took huge=$huge\n";
"""


def policy(folder: Path = FOLDER) -> str:
    """Return what the kernel is set to for huge pages of its own size: always, madvise or never; never, too, where it has none."""
    try:
        whole = read_setting(folder / "enabled")
        size = int(read_setting(folder / "hpage_pmd_size")) // 1024
    except FileNotFoundError:
        return "never"
    # Newer kernels have a setting for each size, which by default takes the one of all.
    own = folder / f"hugepages-{size}kB" / "enabled"
    told = read_setting(own) if own.is_file() else "inherit"
    return whole if told == "inherit" else told


def known(modes: Sequence[str]) -> tuple[str, ...]:
    """Return *modes*; TestError when one is none of the kernel's."""
    wrong = [mode for mode in modes if mode not in MODES]
    if wrong or not modes:
        message = f"hv_thp_modes: '{' '.join(wrong) or 'nothing'}' is no mode; known are {' '.join(MODES)}."
        raise TestError(message)
    return tuple(modes)


def given(mode: str, *, advised: bool) -> bool:
    """Return whether memory gets transparent huge pages under *mode*, with or without having asked for them."""
    return mode == "always" or (mode == "madvise" and advised)


@contextlib.contextmanager
def held_at(mode: str) -> Iterator[None]:
    """Hold the node's transparent huge pages and their making on demand (enabled, defrag) at *mode* for the length of the block."""
    with kernel_setting(FOLDER / "enabled", mode), kernel_setting(FOLDER / "defrag", mode):
        yield


def probed(*, advised: bool) -> int:
    """Return how many KiB of a new mapping of this process lie in huge pages once it was written to."""
    with mmap.mmap(-1, PROBE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as area:
        if advised:
            area.madvise(mmap.MADV_HUGEPAGE)
        for place in range(0, PROBE, mmap.PAGESIZE):
            area[place] = 1
        holding = [
            one for one in smaps.mappings(os.getpid()) if one.start <= _address(area) < one.start + one.size * 1024
        ]
        return sum(one.huge for one in holding)


def _address(area: mmap.mmap) -> int:
    """Return where a mapping lies."""
    return ctypes.addressof(ctypes.c_char.from_buffer(area))


def does_as_set(mode: str, expect: Expect) -> None:
    """Expect that the node's kernel gives this process huge pages as *mode* says, asked for and not; observe thp_probe."""
    for advised in (False, True):
        found, wanted = probed(advised=advised), given(mode, advised=advised)
        good = bool(found) == wanted
        expect.record.observe("thp_probe", good, "bool")
        if not good:
            message = (
                f"Under '{mode}' memory of a process that {'asked' if advised else 'did not ask'} for huge pages should "
                f"{'have' if wanted else 'have none of'} them; of {PROBE // 1024} KiB {found} KiB lie in them."
            )
            fail(expect.record, "wrong-result", message, None)


def ram_of(guest: Guest) -> list[smaps.Mapping]:
    """Return the mappings of the guest's memory in its QEMU; TestError when they cannot be told."""
    processes = host_process.emulators(guest.name)
    found = smaps.guest_ram(
        [one for process in processes for one in smaps.mappings(process.pid)], guest.spec.pieces_kib
    )
    if not found:
        message = f"The memory of '{guest.name}' ({guest.spec.pieces_kib} KiB) is not among the mappings of its QEMU."
        raise TestError(message)
    return found


def part(spec: Spec, found: list[smaps.Mapping]) -> float:
    """Return which part of a guest's memory that is in use lies in huge pages; TestError when none is in use."""
    held = sum(one.resident for one in found)
    if not held:
        message = f"Nothing of the memory of '{spec.name}' is in use, so its pages tell nothing."
        raise TestError(message)
    return sum(one.huge for one in found) / held


def as_set(guest: Guest, expect: Expect, mode: str) -> None:
    """
    Expect the memory of a guest that runs to lie in huge pages as the node was set to *mode*: some, or none under 'never'.

    Observe thp_as_set (bool), and thp_backed (ratio) of what is in use where there are to be some.
    """
    if not guest.on:
        return
    found = ram_of(guest)
    wanted = given(mode, advised=all(smaps.ADVISED in one.flags for one in found))
    huge = sum(one.huge for one in found)
    expect.record.observe("thp_as_set", bool(huge) == wanted, "bool", guest.name)
    if bool(huge) != wanted:
        message = (
            f"Under '{mode}' the memory of '{guest.name}' should {'lie' if wanted else 'not lie'} in transparent huge pages; "
            f"{huge} of {sum(one.resident for one in found)} KiB do."
        )
        fail(expect.record, "wrong-result", message, guest.name)
    if wanted:
        expect.record.observe("thp_backed", part(guest.spec, found), "ratio", guest.name)


def filled(guest: Guest, expect: Expect, share: float, mode: str) -> None:
    """
    Have the guest write *share* of the memory that it has free; observe what `written` and `as_set` do.

    Observe thp_growth (KiB), by how much more of its memory lies in huge pages than before, where it is to.
    """
    before = sum(one.huge for one in ram_of(guest))
    written(guest, expect, share)
    as_set(guest, expect, mode)
    if given(mode, advised=True):
        after = sum(one.huge for one in ram_of(guest))
        expect.record.observe("thp_growth", after - before, "KiB", guest.name)


def written(guest: Guest, expect: Expect, share: float) -> None:
    """
    Have the guest write *share* of the memory that it has free.

    Observe fill_rate (MiB/s), and guest_huge (KiB), which is what the guest's own kernel gave in huge pages.
    """
    with expect.record.step("fill memory", guest.name):
        amount = max(1, int(load.available_mib(guest.ask("cat /proc/meminfo")) * share))
        program = base64.b64encode(FILL.encode()).decode()
        said = guest.ask(f"echo {program} | base64 -d | perl - {amount}")
        told = dict(word.split("=", 1) for word in said.split() if "=" in word)
        try:
            seconds, huge = float(told["seconds"]), int(told["huge"])
        except (KeyError, ValueError):
            message = f"'{guest.name}' did not tell of the {amount} MiB that it was to write; it said: {said[-400:]!r}"
            raise TestError(message) from None
        expect.record.observe("fill_rate", amount / max(seconds, TICK), "MiB/s", guest.name)
        expect.record.observe("guest_huge", huge, "KiB", guest.name)


@contextlib.contextmanager
def counted(mode: str, expect: Expect) -> Iterator[None]:
    """Count the huge pages that the kernel made on demand in the block: observe thp_faults, or thp_faults_in_never (count)."""
    before = events(FAULTS)
    yield
    made = events(FAULTS) - before
    expect.record.observe("thp_faults_in_never" if mode == "never" else "thp_faults", made, "count")


class Collapses:
    """How many huge pages khugepaged has made of small ones since then, on the whole node."""

    def __init__(self) -> None:
        """Begin to count."""
        self.before = events(COLLAPSES)

    def made(self) -> int:
        """Return how many there are by now."""
        return events(COLLAPSES) - self.before


@contextlib.contextmanager
def collapses(expect: Expect, since: Collapses | None = None) -> Iterator[Collapses]:
    """Observe thp_collapses (count) at the end of the block: how many were made in it, or *since* it was begun to count."""
    with expect.record.step("khugepaged"):
        since = since or Collapses()
        yield since
    expect.record.observe("thp_collapses", since.made(), "count")


@contextlib.contextmanager
def busy_collapser() -> Iterator[None]:
    """Hold khugepaged, which makes huge pages of small ones, at work without pauses for the length of the block."""
    with contextlib.ExitStack() as stack:
        for name, value in BUSY.items():
            stack.enter_context(kernel_setting(FOLDER / "khugepaged" / name, value))
        yield


def collapsed(guest: Guest, expect: Expect, since: Collapses, share: float, timeout: float) -> None:
    """
    Wait until *share* of the guest's memory is in huge pages and khugepaged has made some, *timeout* seconds at most.

    So much may be in huge pages already, where little of it was taken apart: then nothing was waited for, and none seen to be made.
    Observe thp_collapsed (ratio) and collapse_time (s).
    """
    with expect.record.step("collapse", guest.name):
        start = time.monotonic()
        with contextlib.suppress(WaitTimeoutError):
            until(
                lambda: since.made() and part(guest.spec, ram_of(guest)) >= share, timeout, "khugepaged", interval=0.2
            )
        expect.record.observe("thp_collapsed", part(guest.spec, ram_of(guest)), "ratio", guest.name)
        expect.record.observe("collapse_time", time.monotonic() - start, "s", guest.name)


def events(name: str, file: Path = VMSTAT) -> int:
    """Return how often the kernel did what it counts as *name*, such as thp_fault_alloc; TestError when it counts no such thing."""
    for line in file.read_text(encoding="ascii").splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    message = f"{file} has no '{name}'."
    raise TestError(message)
