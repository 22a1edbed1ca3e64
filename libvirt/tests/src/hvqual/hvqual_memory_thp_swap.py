# SPDX-License-Identifier: GPL-2.0-or-later
"""
Huge pages of guests are taken apart and swapped out where memory is short; nothing is lost, and they are huge again afterwards.

Use case ``hvqual.memory.thp.defrag_swap``: the second half.
"""

from dataclasses import dataclass

from provider.hvqual import hugepages, patterns, pressure, swap, thp
from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined


@dataclass(frozen=True)
class Swapped:
    """Where to (zram, file) and how much of it (MiB), what is taken from a guest (ratio), and as for the collapse and the pattern."""

    swap_kind: str
    swap_mib: int
    squeeze_share: float
    fill_share: float
    collapse_share: float
    collapse_timeout: float
    pattern_mib: int


def run(test, params, env):
    """
    1. Have guests whose memory lies in huge pages; each holds a pattern in it.
    2. Have swap, and limit the memory of each by virsh: huge pages are taken apart, a part is swapped out, the guest lives on.
    3. Take limit and swap away: all comes back, in small pages; the pattern and the canaries are found again.
    4. khugepaged brings together what came back.
    """
    with case(test, params, env, Swapped) as it:
        own, folder = it.own, it.wanted.disk_folder
        swap.require(own.swap_kind, own.swap_mib, folder, it.record)
        with thp.held_at("always"), defined(it, hugepages.none) as stand:
            stand.bring_up()
            held = patterns.laid(stand.guests, own.pattern_mib)
            with stand.watched():
                stand.each(thp.filled, own.fill_share, "always")
                with swap.area(own.swap_kind, own.swap_mib, folder), pressure.squeezing(stand, own.squeeze_share):
                    since = thp.Collapses()
                stand.each(patterns.kept, held)
                with thp.busy_collapser(), thp.collapses(stand.expect, since):
                    stand.each(thp.collapsed, since, own.collapse_share, own.collapse_timeout)
