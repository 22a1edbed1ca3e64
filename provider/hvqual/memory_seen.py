# SPDX-License-Identifier: GPL-2.0-or-later
"""Memory that was plugged or unplugged, through libvirt or below it: what the guest's kernel and the host's have of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Callable, Protocol

from provider.hvqual import guest_memory, pattern, smaps
from provider.hvqual.guest_memory import MOVABLE, ONLINE, Block, Memory
from provider.hvqual.steps import fail
from provider.hvqual.wait import WaitTimeoutError, until

if TYPE_CHECKING:
    from provider.hvqual.guests import Guest
    from provider.hvqual.memory_devices import Device
    from provider.hvqual.pattern import Pattern
    from provider.hvqual.record import Record

KILLED = "dmesg | grep -c 'Out of memory' || true"
POLL = 0.1


class Host(Protocol):
    """Who looks at a guest's process on the host, and where what is seen is written (`Expect`, `Below`)."""

    @property
    def record(self) -> Record:
        """The record of the case."""

    def one_process(self, guest: Guest) -> int:
        """Expect exactly one QEMU of the guest, as it was asked for; return its pid."""


def blocks_of(devices: Sequence[Device]) -> Callable[[Memory], list[Block]]:
    """Return what finds the blocks of DIMMs in a guest's memory."""
    return lambda memory: [block for one in devices for block in memory.within(one.base, one.size_kib)]


def hold_in(  # noqa: PLR0913 - what is held, and where
    guest: Guest,
    host: Host,
    node: int,
    blocks: Callable[[Memory], Sequence[Block]],
    *,
    mib: int,
    beside_kib: tuple[int, ...] = (),
) -> Pattern:
    """
    Have the guest hold a pattern of *mib* in its NUMA node *node*, in the *blocks* of its memory; return it.

    Observe pattern_placed (ratio), which share of its pages lies in them by the guest's page tables, and pattern_backed (ratio): by how
    much more memory the host stands behind the guest than before, as a share of the pattern.
    """
    record = host.record
    with record.step("hold pattern", guest.name):
        before = backing(guest, host, beside_kib)
        held = pattern.lay(guest, mib, node)
        placed_in(guest, host, blocks)
        grown = backing(guest, host, beside_kib) - before
        record.observe("pattern_backed", grown / (mib * 1024), "ratio", guest.name)
    return held


def placed_in(guest: Guest, host: Host, blocks: Callable[[Memory], Sequence[Block]]) -> None:
    """Observe pattern_placed (ratio): which share of the pattern's pages lies in *blocks*, by the guest's page tables."""
    memory = guest_memory.told(guest)
    placed = pattern.share_in(pattern.where(guest, memory), blocks(memory))
    host.record.observe("pattern_placed", placed, "ratio", guest.name)


def backing(guest: Guest, host: Host, beside_kib: tuple[int, ...] = ()) -> int:
    """Return how much of the host's memory (KiB) stands behind the guest's memory, its DIMMs and other devices of *beside_kib*."""
    pieces = (*guest.spec.pieces_kib, *beside_kib)
    found = smaps.guest_ram(smaps.mappings(host.one_process(guest)), pieces)
    if not found:
        message = f"The QEMU of '{guest.name}' should map its memory in pieces of {pieces} KiB; it does not."
        fail(host.record, "wrong-result", message, guest.name)
    return sum(one.held for one in found)


def mapped(guest: Guest, host: Host, size_kib: int) -> int:
    """Return how many mappings of exactly *size_kib* the guest's QEMU has."""
    return sum(1 for one in smaps.mappings(host.one_process(guest)) if one.size == size_kib)


def unmapped(guest: Guest, host: Host, device: Device, before: int) -> None:
    """
    Expect the guest's QEMU to have one mapping of the DIMM's size less than *before*, and soon; observe unmap_time (s).

    QEMU tells of the backend's end first, and unmaps it once no thread of its may look at it (RCU): still mapped 0.1 s later was seen.
    """
    asked, size = time.monotonic(), device.size_kib
    what = f"the memory of '{device.alias}' to be unmapped"
    try:
        until(lambda: mapped(guest, host, size) == before - 1, guest.wanted.operation_timeout, what)
    except WaitTimeoutError:
        message = (
            f"'{guest.name}' has no '{device.alias}' any more, its host was told so; {guest.wanted.operation_timeout:g} s later its QEMU "
            f"has {mapped(guest, host, size)} mappings of {size} KiB, which is the DIMM's size, where {before - 1} are expected."
        )
        fail(host.record, "leftover", message, guest.name)
    host.record.observe("unmap_time", time.monotonic() - asked, "s", guest.name)


def usable(guest: Guest, host: Host, device: Device, before: Memory) -> None:
    """Expect that the guest comes to have all of the DIMM online, in its node, movable; observe guest_gain_error (ratio)."""
    wanted = device.size_kib // before.block_kib
    seen: list[Memory] = []

    def online() -> bool:
        seen[:] = [guest_memory.told(guest)]
        blocks = seen[0].within(device.base, device.size_kib)
        good = [one for one in blocks if (one.state, one.zones, one.node) == (ONLINE, MOVABLE, device.node)]
        return len(good) == wanted > 0 and seen[0].total_kib > before.total_kib

    try:
        until(online, guest.wanted.operation_timeout, f"the DIMM of '{guest.name}' to be online", interval=POLL)
    except WaitTimeoutError:
        found = seen[0].within(device.base, device.size_kib)
        message = (
            f"'{guest.name}' should have {wanted} blocks of the DIMM '{device.alias}' online in zone {MOVABLE} of node "
            f"{device.node}; it has {found or 'none'}, and MemTotal went from {before.total_kib} to {seen[0].total_kib} KiB."
        )
        fail(host.record, "wrong-result", message, guest.name)
    gain = seen[0].total_kib - before.total_kib
    host.record.observe("guest_gain_error", abs(gain - device.size_kib) / device.size_kib, "ratio", guest.name)


def gone(guest: Guest, host: Host, device: Device, before: Memory) -> None:
    """Expect that the guest has the DIMM no more, and killed nothing for it; observe guest_loss_error (ratio) and guest_ooms (count)."""
    after = guest_memory.told(guest)
    left = after.within(device.base, device.size_kib)
    if left:
        message = (
            f"'{device.alias}' was unplugged from '{guest.name}', the host was told so; the guest still has {left}."
        )
        fail(host.record, "wrong-result", message, guest.name)
    loss = before.total_kib - after.total_kib
    host.record.observe("guest_loss_error", abs(loss - device.size_kib) / device.size_kib, "ratio", guest.name)
    host.record.observe("guest_ooms", int(guest.ask(KILLED).split()[-1]), "count", guest.name)
