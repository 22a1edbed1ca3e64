# SPDX-License-Identifier: GPL-2.0-or-later
"""
A guest is ready in less than 10 seconds, the slowest of all starts judged.

Use case ``hvqual.cloud.sla.start_time``: "more than 10 s qualifies to be a bug even though functionality does not have
an issue". Judged is *guest ready*: a customer who waits for a VM does not care when its QEMU runs.
"""

from dataclasses import dataclass

from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined
from provider.hvqual.operations import power


@dataclass(frozen=True)
class StartTime:
    """How many starts are measured."""

    rounds: int


def run(test, params, env):
    """
    1. Start the guest: from the call to *domain running*, and to *guest ready*.
    2. Pull its power; as many times as the profile asks for.
    """
    with case(test, params, env, StartTime) as it, defined(it) as stand:
        for _ in range(it.own.rounds):
            for guest in stand.guests:
                power.start(guest, stand.expect)
                power.destroy(guest, stand.expect)
