# SPDX-License-Identifier: GPL-2.0-or-later
"""
A guest whose CPU time is limited gets that and no more, does as much less, and is as fast as before when the limit is lifted.

Use case ``hvqual.cpu.tune.bandwidth``: quota and period of vCPUs, of the whole QEMU, of emulator and IOThreads.
"""

from dataclasses import dataclass

from provider.hvqual import pins
from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined
from provider.hvqual.operations.held_back import HeldBack, counting_on, defined_only, in_turns, told_only


@dataclass(frozen=True)
class Bandwidth:
    """What is limited and measured, what is only told; to what part of its speed (percent), and seconds of work."""

    quota_measured: tuple[str, ...]
    quota_told: tuple[str, ...]
    quota_percent: float
    burn: float


def run(test, params, env):
    """
    1. Each CPU of a guest counts, of as many guests at once as there are CPUs; host and guest tell how fast without a limit.
    2. A part of that is the limit: libvirt, virsh, XML and cgroups tell it, no thread gets more, and the guest does as much less.
    3. The limit is lifted, and it is as fast as before; so with vCPUs, then with the whole QEMU, and then with the next guests.
    4. Limits of emulator and IOThreads, and those of the definitions, are told by all who know; the latter change nothing that runs.
    """
    with case(test, params, env, Bandwidth) as it, defined(it) as stand:
        stand.bring_up()
        own = it.own
        with stand.watched():
            for turn in in_turns(stand.guests, pins.node_cpus(it.wanted)):
                with counting_on(turn, own.burn * 40 + 120):
                    guests = HeldBack(stand, turn, own.quota_percent, own.burn)
                    for what in own.quota_measured:
                        guests.limited(what)
                        guests.free_again(what)
            for what in own.quota_told:
                stand.each(told_only, what, own.quota_percent)
            for what in own.quota_measured:
                stand.each(defined_only, what, own.quota_percent)
