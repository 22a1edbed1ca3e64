# SPDX-License-Identifier: GPL-2.0-or-later
"""
A guest starts: libvirt, host and guest agree that it is the one that was asked for.

Use case ``hvqual.lifecycle.start``.
"""

from dataclasses import dataclass

from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined


@dataclass(frozen=True)
class Start:
    """Nothing of its own: the guests and limits that every case has."""


def run(test, params, env):
    """
    1. Define the guest; start it; wait until its userspace runs.
    2. Lay canaries in its memory and on its disk; watch it for a while.
    3. It sees the CPUs, memory, disk and network interface that it was given.
    """
    with case(test, params, env, Start) as it, defined(it) as stand:
        stand.bring_up()
        with stand.watched():
            stand.hold()
        stand.matches_model()
