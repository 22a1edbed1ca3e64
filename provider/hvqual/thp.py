# SPDX-License-Identifier: GPL-2.0-or-later
"""
Transparent huge pages of the node: what its kernel is set to, what it really does, and how much of a guest's memory lies in them.

QEMU asks for them for its guests' memory (madvise), so that a guest gets them under ``always`` and ``madvise`` alike. What tells
the two apart is memory of a process that did not ask: the probe here is one. The setting is the machine's, not a guest's.
"""

from __future__ import annotations

import contextlib
import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from avocado.core.exceptions import TestError

from provider.hvqual import host_process, smaps
from provider.hvqual.host_state import kernel_setting
from provider.hvqual.settings_file import read_setting
from provider.hvqual.steps import fail

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


def policy(folder: Path = FOLDER) -> str:
    """Return what the kernel is set to: always, madvise or never; never, too, where it has no transparent huge pages."""
    try:
        return read_setting(folder / "enabled")
    except FileNotFoundError:
        return "never"


def given(mode: str, *, advised: bool) -> bool:
    """Return whether memory gets transparent huge pages under *mode*, with or without having asked for them."""
    return mode == "always" or (mode == "madvise" and advised)


@contextlib.contextmanager
def held_at(mode: str) -> Iterator[None]:
    """Hold the node's transparent huge pages and their making on demand (enabled, defrag) at *mode* for the length of the block."""
    if mode not in MODES:
        message = f"hv_thp_modes names '{mode}', which is none of {', '.join(MODES)}."
        raise TestError(message)
    with kernel_setting(FOLDER / "enabled", mode), kernel_setting(FOLDER / "defrag", mode):
        yield


def probed(*, advised: bool) -> int:
    """Return how many KiB of a new mapping of this process lie in huge pages once it was written to."""
    with mmap.mmap(-1, PROBE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as area:
        if advised:
            area.madvise(mmap.MADV_HUGEPAGE)
        for place in range(0, PROBE, mmap.PAGESIZE):
            area[place] = 1
        holding = [one for one in smaps.mappings(_self()) if one.start <= _address(area) < one.start + one.size * 1024]
        return sum(one.huge for one in holding)


def _address(area: mmap.mmap) -> int:
    """Return where a mapping lies."""
    import ctypes

    return ctypes.addressof(ctypes.c_char.from_buffer(area))


def _self() -> int:
    import os

    return os.getpid()


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
    found = smaps.guest_ram([one for process in processes for one in smaps.mappings(process.pid)], guest.spec.pieces_kib)
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


def as_policy(guest: Guest, expect: Expect) -> None:
    """
    Expect the memory of a guest that runs to lie in huge pages as the node is set: observe thp_backed (ratio), or thp_in_never (KiB).

    QEMU asked for them, so only 'never' means none.
    """
    if not guest.on:
        return
    found, mode = ram_of(guest), policy()
    if given(mode, advised=all(smaps.ADVISED in one.flags for one in found)):
        expect.record.observe("thp_backed", part(guest.spec, found), "ratio", guest.name)
    else:
        expect.record.observe("thp_in_never", sum(one.huge for one in found), "KiB", guest.name)


def events(name: str, file: Path = VMSTAT) -> int:
    """Return how often the kernel did what it counts as *name*, such as thp_fault_alloc; TestError when it counts no such thing."""
    for line in file.read_text(encoding="ascii").splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    message = f"{file} has no '{name}'."
    raise TestError(message)
