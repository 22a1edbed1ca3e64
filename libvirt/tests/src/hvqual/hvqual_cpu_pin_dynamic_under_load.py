# SPDX-License-Identifier: GPL-2.0-or-later
"""
vCPUs that work are pinned anew again and again, at random: each follows, and the guests notice nothing.

Use case ``hvqual.cpu.pin.dynamic_under_load``.
"""

from dataclasses import dataclass

from provider.hvqual import pins
from provider.hvqual.case import case
from provider.hvqual.guest_alarms import unalarmed
from provider.hvqual.libvirt_guests import defined
from provider.hvqual.operations import cpu_work
from provider.hvqual.operations.pinning import Pinning
from provider.hvqual.operations.repin import computes, shuffled


@dataclass(frozen=True)
class DynamicUnderLoad:
    """The seed of the pins (empty: one is drawn), for how long they change, and for how long each is watched (s)."""

    seed: str
    repin_seconds: float
    repin_each: float


def run(test, params, env):
    """
    1. Each CPU of each guest computes, bound to it.
    2. A random vCPU of each guest is pinned to other host CPUs again and again: all who know tell it, and its thread runs there only.
    3. The guests computed rightly and without a break; their kernels raised no alarm and keep the clock that they had.
    """
    with case(test, params, env, DynamicUnderLoad) as it:
        pins.require_choice(it)
        with defined(it, pins.in_turn(it.wanted)) as stand:
            stand.bring_up()
            with stand.watched(), unalarmed(stand.guests, it.record), cpu_work.loaded(stand.guests, stand.expect):
                shuffled(Pinning(stand), it.own.seed, it.own.repin_seconds, it.own.repin_each)
                stand.each(computes)
