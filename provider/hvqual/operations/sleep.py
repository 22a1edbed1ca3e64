# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that is put to sleep by its own power management (ACPI S3), through the guest agent, and woken from outside."""

from __future__ import annotations

import time

from virttest import virsh

from provider.hvqual import capability
from provider.hvqual.expect import Expect
from provider.hvqual.guests import Guest
from provider.hvqual.operations import halt
from provider.hvqual.operations.pause import between

ASLEEP, WOKEN = ("PMSuspended", "memory"), ("Started", "wakeup")
SLEPT = "/sys/power/suspend_stats/success"


def able(guest: Guest, expect: Expect) -> None:
    """Cancel the case with the probe's reason where the guest has no agent or cannot sleep; of sleeping to disk it is only told."""
    record = expect.record
    told = virsh.qemu_agent_command(guest.name, '{"execute":"guest-ping"}', uri=expect.uri, ignore_status=True)
    words = "it answers a ping" if not told.exit_status else told.stderr_text.strip()
    capability.require(f"guest agent in {guest.name}", words, record, ok=not told.exit_status)
    states = guest.ask("cat /sys/power/state").split()
    capability.require(
        f"sleep to memory in {guest.name}", f"/sys/power/state is '{' '.join(states)}'", record, ok="mem" in states
    )
    swaps = guest.ask("tail -n +2 /proc/swaps").split()
    words = "left out: " + (
        "it is not asked here" if swaps else "the guest has no swap area that its memory could go to"
    )
    record.capability(f"sleep to disk in {guest.name}", words, ok=False)


def sleep(guest: Guest, expect: Expect) -> None:
    """Have the guest put itself to sleep; observe sleep_time (s) from the call to the event."""
    with expect.record.step("sleep", guest.name):
        called = expect.act(virsh.dompmsuspend, guest.name, "mem")
        expect.state(guest.name, "pmsuspended", "unknown")
        asleep = expect.events(guest.name, called, [ASLEEP])
        expect.record.observe("sleep_time", asleep.at - called, "s", guest.name)
        expect.one_process(guest)


def wake(guest: Guest, expect: Expect) -> None:
    """Wake the guest; observe wake_time and network_back (s) from the call to its first heartbeats."""
    with expect.record.step("wake", guest.name):
        called = expect.act(virsh.dompmwakeup, guest.name)
        expect.state(guest.name, "running", "wakeup")
        expect.events(guest.name, called, [WOKEN])
        halt.goes_on(guest, expect, called, "wake_time")


def slept_and_woken(guest: Guest, expect: Expect, seconds: float) -> None:
    """Put the guest to sleep for *seconds* and wake it; observe suspend_successes (count), as its own kernel counts them."""
    slept = int(guest.ask(f"cat {SLEPT}"))
    halt.uses_time(guest, expect)
    since = time.monotonic()
    sleep(guest, expect)
    halt.still(guest, expect, seconds)
    wake(guest, expect)
    began, ended = between(expect.truth.events(guest.name, since), ASLEEP, WOKEN)
    halt.missed_nothing(guest, expect, "silence_while_asleep", began, ended)
    expect.record.observe("suspend_successes", int(guest.ask(f"cat {SLEPT}")) - slept, "count", guest.name)
