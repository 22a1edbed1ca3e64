# SPDX-License-Identifier: GPL-2.0-or-later
"""What a guest held of its host while it ran is free when it is off, through libvirt or below it."""

from __future__ import annotations

from typing import Protocol

from provider.hvqual import holdings
from provider.hvqual.guests import Guest
from provider.hvqual.record import Record
from provider.hvqual.steps import fail
from provider.hvqual.wait import WaitTimeoutError, until


class Host(Protocol):
    """Who looks at a guest's process on the host, and where what is seen is written (`Expect`, `Below`)."""

    @property
    def record(self) -> Record:
        """The record of the case."""

    def one_process(self, guest: Guest) -> int:
        """Expect exactly one QEMU of the guest, as it was asked for; return its pid."""

    def no_process(self, guest: Guest) -> None:
        """Expect that no process of the guest is left."""


def held(guest: Guest, host: Host) -> set[str]:
    """Return the guest's taps; expect that it holds some and locks its disks: what was not seen held cannot be seen freed."""
    taps, locked = holdings.taps(host.one_process(guest)), holdings.locked(guest.spec)
    if not (taps and locked):
        message = (
            f"'{guest.name}' should hold taps and lock disks while it runs; it holds {sorted(taps)} and locks {locked}."
        )
        fail(host.record, "wrong-result", message, guest.name)
    return taps


def frees(guest: Guest, host: Host, taps: set[str]) -> None:
    """Expect that nothing of the guest is left on its host: process, cgroup, *taps*, locks, huge pages."""
    host.no_process(guest)
    try:
        until(lambda: not holdings.left(guest.spec, taps), holdings.SETTLE, f"what '{guest.name}' held to be freed")
    except WaitTimeoutError:
        found = ", ".join(holdings.left(guest.spec, taps))
        fail(host.record, "leftover", f"'{guest.name}' is off, but the host still has {found}.", guest.name)
