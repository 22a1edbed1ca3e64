# SPDX-License-Identifier: GPL-2.0-or-later
"""Pausing a guest and letting it go on: meanwhile it does nothing at all, and afterwards it has missed nothing but the time."""

from __future__ import annotations

import time
from collections.abc import Sequence

from virttest import virsh

from provider.hvqual.expect import Expect
from provider.hvqual.guests import Guest
from provider.hvqual.libvirt_truth import Event
from provider.hvqual.operations import halt

PAUSED, RESUMED = ("Suspended", "paused"), ("Resumed", "unpaused")


def suspend(guest: Guest, expect: Expect) -> None:
    """Pause the guest; observe suspend_time (s) from the call to the event."""
    with expect.record.step("suspend", guest.name):
        called = expect.act(virsh.suspend, guest.name)
        expect.state(guest.name, "paused", "user")
        paused = expect.events(guest.name, called, [PAUSED])
        expect.record.observe("suspend_time", paused.at - called, "s", guest.name)
        expect.one_process(guest)


def resume(guest: Guest, expect: Expect) -> None:
    """Let the paused guest go on; observe resume_time and network_back (s) from the call to its first heartbeats."""
    with expect.record.step("resume", guest.name):
        called = expect.act(virsh.resume, guest.name)
        expect.state(guest.name, "running", "unpaused")
        expect.events(guest.name, called, [RESUMED])
        halt.goes_on(guest, expect, called, "resume_time")


def paused_and_resumed(guest: Guest, expect: Expect, seconds: float) -> None:
    """Pause the guest for *seconds* and let it go on; observe what `halt.still` and `halt.missed_nothing` do."""
    halt.uses_time(guest, expect)
    since = time.monotonic()
    suspend(guest, expect)
    halt.still(guest, expect, seconds)
    resume(guest, expect)
    began, ended = between(expect.truth.events(guest.name, since), PAUSED, RESUMED)
    halt.missed_nothing(guest, expect, "silence_while_paused", began, ended)


def between(events: Sequence[Event], first: tuple[str, str], then: tuple[str, str]) -> tuple[float, float]:
    """Return when the events *first* and *then* came, which the steps have seen in this order."""
    began = next(event.at for event in events if (event.event, event.detail) == first)
    ended = next(event.at for event in events if (event.event, event.detail) == then and event.at > began)
    return began, ended
