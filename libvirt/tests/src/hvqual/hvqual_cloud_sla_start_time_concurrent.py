# SPDX-License-Identifier: GPL-2.0-or-later
"""
Guests that start at once are each ready in less than 10 seconds.

Use case ``hvqual.cloud.sla.start_time_concurrent``. Under ``single_big`` there is nothing that could start beside the one
VM: there, k equal VMs in the room of the big one start at once. Under ``patterns`` the flavors take turns.
"""

from dataclasses import dataclass

from provider.hvqual import start_time
from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined


@dataclass(frozen=True)
class Concurrent:
    """How many VMs start at once (0 = all), and how often."""

    burst: int
    rounds: int


def run(test, params, env):
    """
    1. Start k VMs at once: each is judged from its own call to its own *guest ready*.
    2. Pull their power; the next k.
    """
    with case(test, params, env, Concurrent) as it, defined(start_time.parted(it, it.own.burst)) as stand:
        for group in start_time.groups(stand.guests, it.own.burst, it.own.rounds):
            start_time.at_once(stand, group)
