# SPDX-License-Identifier: GPL-2.0-or-later
"""What holds for a guest that stands still and then goes on, whether paused, asleep or saved, through libvirt or below it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from provider.hvqual import vcpu_time
from provider.hvqual.guests import Guest
from provider.hvqual.heartbeat import NETWORK, SERIAL, Beat
from provider.hvqual.record import Record
from provider.hvqual.steps import fail, pass_time
from provider.hvqual.wait import WaitTimeoutError, until


class Host(Protocol):
    """Who looks at a guest's process on the host, and where what is seen is written (`Expect`, `Below`)."""

    @property
    def record(self) -> Record:
        """The record of the case."""

    def one_process(self, guest: Guest) -> int:
        """Expect exactly one QEMU of the guest, as it was asked for; return its pid."""


def uses_time(guest: Guest, host: Host) -> None:
    """Observe cpu_time_while_running (s): what is seen not to grow in a halt must be seen to grow before it."""
    with _cpu_time(guest, host, "cpu_time_while_running"):
        pass_time(guest.wanted.hold)


def still(guest: Guest, host: Host, seconds: float) -> None:
    """Expect no heartbeat of the guest for *seconds*; observe cpu_time_while_still (s) of its virtual CPUs."""
    with host.record.step("stand still", guest.name), _cpu_time(guest, host, "cpu_time_while_still"):
        silent(guest, host, seconds)


def silent(guest: Guest, host: Host, seconds: float) -> None:
    """Expect no heartbeat of the guest for *seconds* from now on."""
    since = time.monotonic()
    pass_time(seconds)
    heard = guest.witness.observer.beats(guest.name, SERIAL, since)
    if heard:
        message = f"'{guest.name}' should stand still; {len(heard)} heartbeats came in {seconds:g} s."
        fail(host.record, "wrong-result", message, guest.name)


def goes_on(guest: Guest, host: Host, called: float, name: str) -> None:
    """Expect both heartbeats after *called*; observe *name* (s) to the first, and network_back (s)."""
    beat = guest.witness.ready(called, guest.wanted.ready_timeout)
    host.record.observe(name, beat.at - called, "s", guest.name)
    hear = guest.witness.observer.beats
    try:
        back = until(lambda: hear(guest.name, NETWORK, called), guest.wanted.ready_timeout, "a packet of the guest")
    except WaitTimeoutError as error:
        fail(host.record, "vm-lost", f"'{guest.name}' goes on, but its network does not. {error}", guest.name)
    host.record.observe("network_back", back[0].at - called, "s", guest.name)
    host.one_process(guest)


def missed_nothing(guest: Guest, host: Host, silence: str, began: float, ended: float) -> None:
    """
    Observe the guest's silence around the halt as *silence* (s) and silence_error (s), by how much it differs from the halt.

    Observe process_survived: the process that sends the heartbeats counts on where it was; and guest_clock_lost (s): how much of the
    silence the guest's own clock knows nothing of.
    """
    observe, vm = host.record.observe, guest.name
    before, after = around(guest.witness.observer.beats(vm, SERIAL), began, ended)
    silent_for = after.at - before.at
    observe(silence, silent_for, "s", vm)
    observe("silence_error", abs(silent_for - (ended - began)), "s", vm)
    observe("process_survived", after.boot_id == before.boot_id and after.seq > before.seq, "bool", vm)
    observe("guest_clock_lost", silent_for - (after.uptime - before.uptime), "s", vm)


def around(beats: Sequence[Beat], began: float, ended: float) -> tuple[Beat, Beat]:
    """Return the two beats around the longest silence that touches the time from *began* to *ended*; ValueError for less than two."""
    pairs = [(one, two) for one, two in zip(beats, beats[1:]) if one.at <= ended and two.at >= began]
    return max(pairs, key=lambda pair: pair[1].at - pair[0].at)


@contextmanager
def _cpu_time(guest: Guest, host: Host, name: str) -> Iterator[None]:
    pid = host.one_process(guest)
    before = vcpu_time.used(pid, guest.spec.vcpus)
    yield
    host.record.observe(name, vcpu_time.used(pid, guest.spec.vcpus) - before, "s", guest.name)
