# SPDX-License-Identifier: GPL-2.0-or-later
"""
The balloon takes memory from a running guest and gives it back: the host really has it meanwhile.

Use case ``hvqual.memory.hotplug.balloon``.
"""

from dataclasses import dataclass

from provider.hvqual import allocation, load
from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined
from provider.hvqual.operations import balloon


@dataclass(frozen=True)
class Balloon:
    """How much is taken (percent of the guest's memory), and how long the guests may take to write their memory (s)."""

    take_percent: float
    touch_timeout: float


def run(test, params, env):
    """
    1. Each guest writes all memory that it has free: the host holds it.
    2. Take a part of it: libvirt, its statistics and its event tell so, the guest's kernel has so much less, the host so much more.
    3. It stays so while the guests live on.
       Give it back: the guest has as much as before, and writing to all of it takes it from the host again.
    4. All along the guests lived without a break and kept their canaries; they are what was asked for.
    """
    with case(test, params, env, Balloon) as it, defined(it) as stand:
        stand.bring_up()
        with stand.watched():
            stand.each(load.touch, it.own.touch_timeout)
            stand.each(balloon.take, it.own.take_percent)
            stand.hold()
            stand.each(balloon.kept)
            stand.each(balloon.give_back)
            stand.each(balloon.used_again, it.own.take_percent, it.own.touch_timeout)
            stand.each(allocation.exact)
