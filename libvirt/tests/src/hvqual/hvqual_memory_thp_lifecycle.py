# SPDX-License-Identifier: GPL-2.0-or-later
"""
Guests whose memory lies in transparent huge pages go through every operation of their life, after which it lies there again.

Use case ``hvqual.memory.thp.lifecycle``.
"""

import functools
from dataclasses import dataclass

from provider.hvqual import hugepages, load, thp
from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined
from provider.hvqual.operations.followed import UP, followed
from provider.hvqual.operations.table import LIFECYCLE
from provider.hvqual.walks import Walks


@dataclass(frozen=True)
class ThpLifecycle:
    """To what the node is set, the operations and how often over, replays of a failure, and seconds to write all memory."""

    thp_mode: str
    sequence: str
    rounds: int
    replays: int
    touch_timeout: float


def run(test, params, env):
    """
    1. Set the node to give transparent huge pages; guests come up, and their memory lies in them.
    2. Every guest goes through the sequence, all at once; whatever is restored or booted lies in huge pages again.
    3. Each guest writes all its memory and finds it again, in huge pages.
    """
    with case(test, params, env, ThpLifecycle) as it, thp.held_at(it.own.thp_mode):
        with defined(it, hugepages.none) as stand:
            stand.bring_up()
            look = functools.partial(thp.as_set, mode=it.own.thp_mode)
            stand.each(look)
            walks = Walks(stand, followed(LIFECYCLE, look), it.own.replays, model=UP)
            walks.sequence(it.own.sequence, it.own.rounds)
            with stand.watched():
                stand.each(load.touch, it.own.touch_timeout)
                stand.each(look)
