# SPDX-License-Identifier: GPL-2.0-or-later
"""
The balloon: memory that a running guest gives back and gets again.

Taken is what the guest's kernel has no more *and* the host has again; libvirt's number alone is only what QEMU was told.
"""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING

from virttest import virsh

from provider.hvqual import guest_memory, load, memory_seen
from provider.hvqual.libvirt_truth import BALLOONED
from provider.hvqual.operations import memory_hotplug
from provider.hvqual.steps import fail
from provider.hvqual.wait import WaitTimeoutError, until

if TYPE_CHECKING:
    from provider.hvqual.expect import Expect
    from provider.hvqual.guests import Guest

UNIT_KIB = 1024
POLL = 0.1


def take(guest: Guest, expect: Expect, share: float) -> None:
    """
    Take *share* percent of its memory from the guest, which has written to all of it; observe what `_set` does.

    Observe returned_to_host (ratio): by how much less the host has behind the guest, as a share of what was taken; and left_on_host
    (ratio): how much more than the guest may have now it still has. What the guest never wrote to the host never had.
    """
    taken = part(guest, share)
    before = memory_seen.backing(guest, expect)
    with expect.record.step("take memory", guest.name):
        _set(guest, expect, taken)
        after = memory_seen.backing(guest, expect)
        expect.record.observe("returned_to_host", (before - after) / taken, "ratio", guest.name)
        most = guest.spec.memory_kib - taken
        expect.record.observe("left_on_host", max(0, after - most) / taken, "ratio", guest.name)


def take_unseen(guest: Guest, expect: Expect, share: float) -> None:
    """Take *share* percent of its memory from a guest of which nobody knows what it wrote to; observe what `_set` does."""
    with expect.record.step("take memory", guest.name):
        _set(guest, expect, part(guest, share))


def kept(guest: Guest, expect: Expect) -> None:
    """Expect the balloon to hold what it held, after a while in which nobody asked anything of it, by libvirt's statistics and list."""
    with expect.record.step("keep the balloon", guest.name):
        _statistics(guest, expect, guest.spec.memory_kib - guest.spec.ballooned_kib)
        memory_hotplug.sizes(guest, expect)


def give_back(guest: Guest, expect: Expect) -> None:
    """Give the guest back all that was taken; observe what `_set` does."""
    with expect.record.step("give memory back", guest.name):
        _set(guest, expect, 0)


def used_again(guest: Guest, expect: Expect, share: float, timeout: float) -> None:
    """
    Have the guest write all its memory again; observe taken_from_host (ratio).

    It is by how much more the host has behind the guest than before, as a share of the *share* percent that had been taken.
    """
    before = memory_seen.backing(guest, expect)
    load.touch(guest, expect, timeout)
    grown = memory_seen.backing(guest, expect) - before
    expect.record.observe("taken_from_host", grown / part(guest, share), "ratio", guest.name)


def part(guest: Guest, share: float) -> int:
    """Return *share* percent of the guest's memory (KiB), in whole MiB."""
    return int(guest.spec.memory_kib * share / 100) // UNIT_KIB * UNIT_KIB


def _set(guest: Guest, expect: Expect, taken_kib: int) -> None:
    """
    Have the balloon hold *taken_kib*; expect it by libvirt's list, statistics and event, and by the guest's kernel.

    Observe balloon_time (s) until the guest's kernel has so much, and balloon_error (ratio): how far what it has less or more is from that.
    """
    record, spec = expect.record, guest.spec
    before, change = guest_memory.told(guest), taken_kib - spec.ballooned_kib
    wanted = spec.memory_kib - taken_kib
    called = expect.act(virsh.setmem, guest.name, str(wanted), flagstr="--live")
    guest.becomes(dataclasses.replace(spec, ballooned_kib=taken_kib))
    memory_hotplug.sizes(guest, expect)
    _statistics(guest, expect, wanted)
    memory_hotplug.told_event(guest, expect, called, BALLOONED, [str(wanted)])
    after = settled(guest, expect, before.total_kib - change)
    record.observe("balloon_time", time.monotonic() - called, "s", guest.name)
    error = abs(before.total_kib - after - change) / abs(change)
    record.observe("balloon_error", error, "ratio", guest.name)


def _statistics(guest: Guest, expect: Expect, wanted: int) -> None:
    """Expect 'virsh dommemstat' to tell the memory that the balloon leaves the guest."""
    told = memstat(virsh.dommemstat(guest.name, uri=expect.uri, ignore_status=True).stdout_text)
    if told.get("actual") != wanted:
        message = f"'{guest.name}' should be left {wanted} KiB; virsh dommemstat says {told.get('actual', 'nothing')}."
        fail(expect.record, "wrong-result", message, guest.name)


def settled(guest: Guest, expect: Expect, wanted: int) -> int:
    """Return the guest's MemTotal (KiB) as soon as it is *wanted*, or else what it is when it had long enough."""

    def there() -> bool:
        return guest_memory.told(guest).total_kib == wanted

    try:
        until(there, expect.timeout / 4, f"the balloon of '{guest.name}'", interval=POLL)
    except WaitTimeoutError:
        return guest_memory.told(guest).total_kib
    return wanted


def memstat(text: str) -> dict[str, int]:
    """Return the numbers of 'virsh dommemstat' by their names (KiB, counts)."""
    pairs = (line.split() for line in text.splitlines())
    return {words[0]: int(words[1]) for words in pairs if len(words) > 1 and words[1].isdigit()}
