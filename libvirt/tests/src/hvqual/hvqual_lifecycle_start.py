# SPDX-License-Identifier: GPL-2.0-or-later
"""
A guest starts: libvirt, host and guest agree that it is the one that was asked for.

Use case ``hvqual.lifecycle.start``.
"""

from dataclasses import dataclass

from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined
from provider.hvqual.operations import power


@dataclass(frozen=True)
class Start:
    """In which ways it is started before the plain one: client (--autodestroy), afresh (--force-boot), paused (--paused)."""

    start_ways: tuple[str, ...]


def run(test, params, env):
    """
    1. Start the guest in each special way, and have it off again: it ends with its client, boots past its managed save, waits paused.
    2. Start it; wait until its userspace runs.
    3. Lay canaries in its memory and on its disk; watch it for a while.
    4. It sees the CPUs, memory, disk and network interface that it was given.
    """
    with case(test, params, env, Start) as it, defined(it) as stand:
        for way in it.own.start_ways:
            stand.each(power.start_in_way, way)
        stand.bring_up()
        with stand.watched():
            stand.hold()
        stand.matches_model()
