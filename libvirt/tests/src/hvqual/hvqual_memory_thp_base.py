# SPDX-License-Identifier: GPL-2.0-or-later
"""
Transparent huge pages stand behind guests as the node is set to: always, when asked for, never.

Use case ``hvqual.memory.thp.base``.
"""

from dataclasses import dataclass

from provider.hvqual import hugepages, thp
from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined
from provider.hvqual.operations import power


@dataclass(frozen=True)
class ThpBase:
    """To what the node is set in turn, and how much of its free memory a guest writes (ratio)."""

    thp_modes: tuple[str, ...]
    fill_share: float


def run(test, params, env):
    """
    1. Set the node to one mode after the other; memory of a process that asks for huge pages gets them as the mode says, and so does
       that of one that does not ask.
    2. Guests come up and write their memory: what stands behind it lies in huge pages and grows, under 'never' none of it does.
       QEMU asks for them, so that 'always' and 'madvise' are the same to a guest.
    3. They live without a break, and their power is pulled.
    """
    with case(test, params, env, ThpBase) as it, defined(it, hugepages.none) as stand:
        for mode in thp.known(it.own.thp_modes):
            with thp.held_at(mode), thp.counted(mode, stand.expect):
                thp.does_as_set(mode, stand.expect)
                stand.bring_up()
                with stand.watched():
                    stand.each(thp.filled, it.own.fill_share, mode)
                stand.each(power.destroy)
