# SPDX-License-Identifier: GPL-2.0-or-later
"""Boots of a guest as its heartbeats tell them apart, for restarts through libvirt and below it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from provider.hvqual.guests import Guest
from provider.hvqual.heartbeat import NETWORK, SERIAL
from provider.hvqual.record import Record

# From within: the session is gone before the guest is. By its path: busybox's shell prefers its own reboot, which has init sleep for 2 s.
FROM_WITHIN = "setsid sh -c 'usleep 300000; exec /sbin/reboot' </dev/null >/dev/null 2>&1 &"


def now(guest: Guest) -> str:
    """Return the boot_id of the guest's last heartbeat."""
    return guest.witness.observer.beats(guest.name, SERIAL)[-1].boot_id


def since(guest: Guest, start: float) -> set[str]:
    """Return the boot_ids heard on both channels after *start*."""
    hear = guest.witness.observer.beats
    return {beat.boot_id for channel in (SERIAL, NETWORK) for beat in hear(guest.name, channel, start)}


def downtime(guest: Guest, record: Record, before: str, called: float) -> None:
    """Wait for another boot than *before*; observe restart_downtime (s), from the last sign of the one to the first of the other."""
    beat = guest.witness.ready(called, guest.wanted.ready_timeout, other_than=before)
    guest.hang_up()
    last = [old for old in guest.witness.observer.beats(guest.name, SERIAL) if old.boot_id == before][-1]
    record.observe("restart_downtime", beat.at - last.at, "s", guest.name)


def one_more(guest: Guest, record: Record, before: str, called: float) -> None:
    """
    Observe boots_per_restart (count), the boots other than *before* that were heard since *called*.

    Observe boots_again, disk_canary and guest_panics too; the canaries are laid anew.
    """
    guest.witness.rearm()
    record.observe("boots_per_restart", len(since(guest, called) - {before}), "count", guest.name)


@contextmanager
def labelled(record: Record, guest: Guest, label: str) -> Iterator[None]:
    """Tell what is seen in the block by *label*, beside the guest's own label."""
    before = record.labels.get(guest.name, "")
    record.labels[guest.name] = f"{before} {label}".strip()
    try:
        yield
    finally:
        record.labels[guest.name] = before
