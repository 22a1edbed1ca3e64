# SPDX-License-Identifier: GPL-2.0-or-later
"""
Memory of guests that lies in small pages is brought together in huge ones by the node's kernel while they run.

Use case ``hvqual.memory.thp.defrag_swap``: the first half.
"""

from dataclasses import dataclass

from provider.hvqual import hugepages, patterns, thp
from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined


@dataclass(frozen=True)
class Defrag:
    """How much of its free memory a guest writes (ratio), which share of all is to be huge, how soon, and its pattern (MiB)."""

    fill_share: float
    collapse_share: float
    collapse_timeout: float
    pattern_mib: int


def run(test, params, env):
    """
    1. Have guests whose memory is in small pages throughout, as on a node that gave no huge ones; each holds a pattern in it.
    2. Let the node give huge pages and its khugepaged work, and the guests write on, by which it comes to know of them: what is in
       small pages is brought together in huge ones.
    3. Canaries and pattern are as they were, the guests lived without a break.
    """
    with case(test, params, env, Defrag) as it, defined(it, hugepages.none) as stand:
        own = it.own
        with thp.held_at("never"):
            stand.bring_up()
            stand.each(thp.as_set, "never")
        held = patterns.laid(stand.guests, own.pattern_mib)
        with thp.held_at("always"), thp.busy_collapser(), stand.watched():
            with thp.collapses(stand.expect) as since:
                stand.each(thp.written, own.fill_share)
                stand.each(thp.collapsed, since, own.collapse_share, own.collapse_timeout)
                stand.each(thp.as_set, "always")
            stand.each(patterns.kept, held)
