# SPDX-License-Identifier: GPL-2.0-or-later
"""
Guests without huge pages go through the same life beside a pool of them: none is taken, and the node's THP policy holds.

Use case ``hvqual.memory.no_hugepage.lifecycle``.
"""

import functools
from dataclasses import dataclass

from provider.hvqual import allocation, hugepages, load, thp
from provider.hvqual.case import case
from provider.hvqual.host_state import huge_pages
from provider.hvqual.libvirt_guests import defined
from provider.hvqual.operations import power
from provider.hvqual.operations.followed import UP, followed
from provider.hvqual.operations.table import LIFECYCLE
from provider.hvqual.walks import Walks


@dataclass(frozen=True)
class SmallPages:
    """The size and number of huge pages that lie free, the operations and how often over, replays, seconds to write all memory."""

    page_kib: int
    free_pages: int
    sequence: str
    rounds: int
    replays: int
    touch_timeout: float


def run(test, params, env):
    """
    1. Have huge pages lie free on the node, and guests that did not ask for them.
    2. Every guest goes through the sequence; after each operation its QEMU holds no page of the pool, and transparent huge pages as
       the node's own setting says: some, or none.
    3. Each guest writes all its memory and finds it again; the same holds, and libvirt, host and guest tell what was asked for.
    4. Pull the power: no page of the pool is gone.
    """
    with case(test, params, env, SmallPages) as it, huge_pages(it.own.page_kib, it.own.free_pages):
        own = it.own
        with defined(it, hugepages.none) as stand, hugepages.balanced(own.page_kib, stand.expect):
            stand.bring_up()
            look = functools.partial(thp.as_set, mode=thp.policy())
            table = followed(followed(LIFECYCLE, hugepages.exact), look)
            Walks(stand, table, own.replays, model=UP).sequence(own.sequence, own.rounds)
            with stand.watched():
                stand.each(load.touch, own.touch_timeout)
                stand.each(look)
                stand.each(allocation.exact)
                hugepages.add_up(stand.guests, stand.expect)
            stand.each(power.destroy)
