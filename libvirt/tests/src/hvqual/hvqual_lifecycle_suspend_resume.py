# SPDX-License-Identifier: GPL-2.0-or-later
"""
A paused guest stands still, and a resumed one has missed nothing but the time.

Use case ``hvqual.lifecycle.suspend_resume``.
"""

from dataclasses import dataclass

from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined
from provider.hvqual.operations import pause, saving


@dataclass(frozen=True)
class SuspendResume:
    """For how many seconds the guests are paused."""

    pause_seconds: float


def run(test, params, env):
    """
    1. Start the guest; lay canaries.
    2. Pause it: its virtual CPUs use no time on the host, no heartbeat comes.
    3. Resume it: it is silent for as long as it was paused, its processes go on, its network is back; what its clock did is told.
    4. Watch it for a while: the same boot; the session of before the pause still answers.
    """
    with case(test, params, env, SuspendResume) as it, defined(it) as stand:
        stand.bring_up()
        stand.each(pause.paused_and_resumed, it.own.pause_seconds)
        with stand.watched():
            stand.hold()
        stand.each(saving.same_session)
