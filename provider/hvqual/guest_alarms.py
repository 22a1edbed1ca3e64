# SPDX-License-Identifier: GPL-2.0-or-later
"""What a guest's kernel complains of when its CPUs did not get on: lockups, stalls, a clock that it trusts no more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from provider.hvqual import together
from provider.hvqual.asked import Asked
from provider.hvqual.record import Record
from provider.hvqual.steps import fail
from provider.hvqual.witness import facts

STALLS = "soft lockup|hard LOCKUP|hung_task|blocked for more than|detected stall|kthread starved"
ALARMS = f"{STALLS}|clocksource.*unstable|Marking clocksource|timekeeping watchdog"
ASKED = (
    f"echo alarms=$(dmesg | grep -c -E '{ALARMS}'); "
    "echo clock=$(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)"
)


@contextmanager
def unalarmed(guests: Sequence[Asked], record: Record) -> Iterator[None]:
    """
    Hold each guest's kernel to no new alarm while the block lasts, and to the clock that it had.

    Observe kernel_alarms (count) and clock_kept (bool) of each.
    """
    before = dict(zip((guest.name for guest in guests), together.each(guests, _told)))
    yield
    together.each(guests, lambda guest: _compare(guest, record, before[guest.name]))


def _told(guest: Asked) -> dict[str, str]:
    return facts(guest.ask(ASKED), ("alarms", "clock"))


def _compare(guest: Asked, record: Record, before: dict[str, str]) -> None:
    after = _told(guest)
    more = int(after["alarms"]) - int(before["alarms"])
    record.observe("kernel_alarms", more, "count", guest.name)
    record.observe("clock_kept", after["clock"] == before["clock"], "bool", guest.name)
    if more or after["clock"] != before["clock"]:
        said = guest.ask(f"dmesg | grep -E '{ALARMS}' | tail -n 3; true").strip()
        message = (
            f"The kernel of '{guest.name}' raised {more} alarms; its clock was '{before['clock']}' and is '{after['clock']}'. "
            f"It said: {said!r}"
        )
        fail(record, "wrong-result", message, guest.name)
