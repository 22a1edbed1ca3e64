# SPDX-License-Identifier: GPL-2.0-or-later
"""
Guests in huge pages go through every operation of their life, and each page is accounted for.

Use case ``hvqual.memory.hugepage.lifecycle``.
"""

from dataclasses import dataclass

from provider.hvqual import allocation, hugepages, load
from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined, shapes_of
from provider.hvqual.operations import power
from provider.hvqual.operations.followed import UP, followed
from provider.hvqual.operations.table import LIFECYCLE
from provider.hvqual.walks import Walks


@dataclass(frozen=True)
class HugePages:
    """The size of the pages (KiB), the operations and how often over, replays of a failure, and seconds to write all memory."""

    page_kib: int
    sequence: str
    rounds: int
    replays: int
    touch_timeout: float


def run(test, params, env):
    """
    1. Give all memory of each guest as huge pages; cancelled where the node has none to give.
    2. Every guest goes through the sequence, all at once; after each operation its QEMU holds exactly its pages, and none when it is off.
    3. Each guest writes all its memory and finds it again; libvirt, host and guest tell exactly what was asked for.
    4. Pull the power: the pool, this host's cgroup, processes and files have as many pages as before.
    """
    with case(test, params, env, HugePages) as it:
        own = it.own
        hugepages.require(own.page_kib, shapes_of(it), it.record)
        with defined(it, lambda shape: hugepages.backed(shape, own.page_kib)) as stand:
            with hugepages.balanced(own.page_kib, stand.expect):
                stand.bring_up()
                walks = Walks(stand, followed(LIFECYCLE, hugepages.exact), own.replays, model=UP)
                walks.sequence(own.sequence, own.rounds)
                with stand.watched():
                    stand.each(load.touch, own.touch_timeout)
                    stand.each(allocation.exact)
                    hugepages.add_up(stand.guests, stand.expect)
                stand.each(power.destroy)
