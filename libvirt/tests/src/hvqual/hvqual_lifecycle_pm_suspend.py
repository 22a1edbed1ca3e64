# SPDX-License-Identifier: GPL-2.0-or-later
"""
A guest sleeps by its own power management and goes on where it was when it is woken.

Use case ``hvqual.lifecycle.pm_suspend``: sleep to memory (S3). To disk is left out, which the record tells with the reason.
"""

from dataclasses import dataclass

from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined
from provider.hvqual.operations import saving, sleep


@dataclass(frozen=True)
class PmSuspend:
    """For how many seconds the guests sleep."""

    pause_seconds: float


def run(test, params, env):
    """
    1. Start the guest; lay canaries; it has an agent, and its kernel can sleep.
    2. Put it to sleep: libvirt says so, its virtual CPUs use no time on the host, no heartbeat comes.
    3. Wake it: it is silent for as long as it slept, its processes go on, its kernel counts one more sleep.
    4. Watch it for a while: the same boot; the session of before still answers; it sees what it was given.
    """
    with case(test, params, env, PmSuspend) as it, defined(it) as stand:
        stand.bring_up()
        stand.each(sleep.able)
        stand.each(sleep.slept_and_woken, it.own.pause_seconds)
        with stand.watched():
            stand.hold()
        stand.each(saving.same_session)
        stand.matches_model()
