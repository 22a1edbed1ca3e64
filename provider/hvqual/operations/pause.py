# SPDX-License-Identifier: GPL-2.0-or-later
"""
Pausing a guest and letting it go on: meanwhile it does nothing at all, and afterwards it has missed nothing but the time.

What holds a guest still for a while is the same for a pause and for a sleep: `still`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from virttest import virsh

from provider.hvqual import vcpu_time
from provider.hvqual.expect import Expect
from provider.hvqual.guests import Guest
from provider.hvqual.heartbeat import NETWORK, SERIAL, Beat
from provider.hvqual.libvirt_truth import Event
from provider.hvqual.steps import fail, pass_time
from provider.hvqual.wait import WaitTimeoutError, until


@dataclass(frozen=True)
class Halt:
    """In libvirt's words: the events between which a guest stands still, and what its silence is called."""

    begins: tuple[str, str]
    ends: tuple[str, str]
    silence: str


PAUSE = Halt(("Suspended", "paused"), ("Resumed", "unpaused"), "silence_while_paused")


def suspend(guest: Guest, expect: Expect) -> None:
    """Pause the guest; observe suspend_time (s) from the call to the event."""
    with expect.record.step("suspend", guest.name):
        called = expect.act(virsh.suspend, guest.name)
        expect.state(guest.name, "paused", "user")
        paused = expect.events(guest.name, called, [PAUSE.begins])
        expect.record.observe("suspend_time", paused.at - called, "s", guest.name)
        expect.one_process(guest)


def resume(guest: Guest, expect: Expect) -> None:
    """Let the paused guest go on; observe resume_time and network_back (s) from the call to its first heartbeats."""
    with expect.record.step("resume", guest.name):
        called = expect.act(virsh.resume, guest.name)
        expect.state(guest.name, "running", "unpaused")
        expect.events(guest.name, called, [PAUSE.ends])
        goes_on(guest, expect, called, "resume_time")


def paused_and_resumed(guest: Guest, expect: Expect, seconds: float) -> None:
    """Pause the guest for *seconds* and let it go on; observe what `still` and `missed_nothing` do."""
    uses_time(guest, expect)
    since = time.monotonic()
    suspend(guest, expect)
    still(guest, expect, seconds)
    resume(guest, expect)
    missed_nothing(guest, expect, PAUSE, since)


def uses_time(guest: Guest, expect: Expect) -> None:
    """Observe cpu_time_while_running (s): what is seen not to grow in a pause must be seen to grow before it."""
    with _cpu_time(guest, expect, "cpu_time_while_running"):
        pass_time(guest.wanted.hold)


def still(guest: Guest, expect: Expect, seconds: float) -> None:
    """Expect no heartbeat of the guest for *seconds*; observe cpu_time_while_still (s) of its virtual CPUs."""
    since = time.monotonic()
    with expect.record.step("stand still", guest.name), _cpu_time(guest, expect, "cpu_time_while_still"):
        pass_time(seconds)
    heard = guest.witness.observer.beats(guest.name, SERIAL, since)
    if heard:
        message = f"'{guest.name}' should stand still; {len(heard)} heartbeats came in {seconds:g} s."
        fail(expect.record, "wrong-result", message, guest.name)


@contextmanager
def _cpu_time(guest: Guest, expect: Expect, name: str) -> Iterator[None]:
    pid = expect.one_process(guest)
    before = vcpu_time.used(pid, guest.spec.vcpus)
    yield
    expect.record.observe(name, vcpu_time.used(pid, guest.spec.vcpus) - before, "s", guest.name)


def goes_on(guest: Guest, expect: Expect, called: float, name: str) -> None:
    """Expect both heartbeats after *called*; observe *name* (s) to the first, and network_back (s)."""
    beat = guest.witness.ready(called, guest.wanted.ready_timeout)
    expect.record.observe(name, beat.at - called, "s", guest.name)
    hear = guest.witness.observer.beats
    try:
        back = until(lambda: hear(guest.name, NETWORK, called), guest.wanted.ready_timeout, "a packet of the guest")
    except WaitTimeoutError as error:
        fail(expect.record, "vm-lost", f"'{guest.name}' goes on, but its network does not. {error}", guest.name)
    expect.record.observe("network_back", back[0].at - called, "s", guest.name)
    expect.one_process(guest)


def missed_nothing(guest: Guest, expect: Expect, halt: Halt, since: float) -> None:
    """
    Observe the guest's silence around the halt (s) and silence_error (s), by how much it differs from the halt that libvirt told.

    Observe process_survived: the process that sends the heartbeats counts on where it was; and guest_clock_lost (s): how much of the
    silence the guest's own clock knows nothing of.
    """
    observe, vm = expect.record.observe, guest.name
    began, ended = halted(expect.truth.events(vm, since), halt)
    before, after = around(guest.witness.observer.beats(vm, SERIAL), began, ended)
    silent = after.at - before.at
    observe(halt.silence, silent, "s", vm)
    observe("silence_error", abs(silent - (ended - began)), "s", vm)
    observe("process_survived", after.boot_id == before.boot_id and after.seq > before.seq, "bool", vm)
    observe("guest_clock_lost", silent - (after.uptime - before.uptime), "s", vm)


def halted(events: Sequence[Event], halt: Halt) -> tuple[float, float]:
    """Return when the halt began and ended by libvirt's *events*, which the steps have seen in order."""
    began = next(event.at for event in events if (event.event, event.detail) == halt.begins)
    ended = next(event.at for event in events if (event.event, event.detail) == halt.ends and event.at > began)
    return began, ended


def around(beats: Sequence[Beat], began: float, ended: float) -> tuple[Beat, Beat]:
    """Return the last beat before and the first after the longest silence that touches the time from *began* to *ended*."""
    pairs = [(one, two) for one, two in zip(beats, beats[1:]) if one.at <= ended and two.at >= began]
    return max(pairs, key=lambda pair: pair[1].at - pair[0].at)
