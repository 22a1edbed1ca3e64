# SPDX-License-Identifier: GPL-2.0-or-later
"""
A guest for which a huge page is missing is refused with a clear word, the others go on, and with enough pages it starts.

Use case ``hvqual.memory.hugepage.shortage``.
"""

import dataclasses
from dataclasses import dataclass

from provider.hvqual import allocation, hugepages
from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined, shapes_of
from provider.hvqual.operations import page_shortage, power


@dataclass(frozen=True)
class Shortage:
    """The size of the pages (KiB)."""

    page_kib: int


def run(test, params, env):
    """
    1. Have all guests but the last running in huge pages (a single one is the last).
    2. Leave the pool one page short of what the last one needs: its start is refused, libvirt says that it is for memory, nothing of
       it is left; the others live on without a break.
    3. Have enough pages: it starts, and libvirt, host and guest tell exactly what was asked for.
    4. Pull the power: no page is gone.
    """
    with case(test, params, env, Shortage) as it:
        size = it.own.page_kib
        hugepages.require(size, shapes_of(it), it.record)
        with defined(it, lambda shape: hugepages.backed(shape, size)) as stand, hugepages.balanced(size, stand.expect):
            others = dataclasses.replace(stand, guests=stand.guests[:-1])
            last = dataclasses.replace(stand, guests=stand.guests[-1:], warm=None)
            others.bring_up()
            needed = hugepages.wanted_kib(stand.guests[-1].spec) // size
            with others.watched(), page_shortage.short_of(size, needed):
                last.each(page_shortage.start_refused)
                others.each(page_shortage.no_worse)
            last.bring_up()
            with stand.watched():
                stand.each(allocation.exact)
                stand.each(hugepages.exact)
            stand.each(power.destroy)
