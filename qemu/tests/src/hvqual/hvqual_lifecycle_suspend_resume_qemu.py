# SPDX-License-Identifier: GPL-2.0-or-later
"""
A guest paused through QEMU's monitor stands still, and a resumed one has missed nothing but the time.

Twin of ``hvqual.lifecycle.suspend_resume``.
"""

from dataclasses import dataclass

from provider.hvqual.backends import guests_of
from provider.hvqual.case import case


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
    with case(test, params, env, SuspendResume) as it, guests_of(it) as backend:
        stand = backend.stand
        stand.bring_up()
        stand.each(backend.paused_and_resumed, it.own.pause_seconds)
        with stand.watched():
            stand.hold()
        stand.each(backend.same_session)
