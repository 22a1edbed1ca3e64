# SPDX-License-Identifier: GPL-2.0-or-later
"""
Many snapshots of one guest: each that is reverted to is the guest of its moment, whichever it is and in whatever order.

Use case ``hvqual.lifecycle.snapshot.repeat``.
"""

from dataclasses import dataclass

from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined
from provider.hvqual.operations import snapshots


@dataclass(frozen=True)
class Repeat:
    """How many snapshots are taken, how many reverts are done, and the seed that chooses to which (empty: drawn)."""

    snapshots: int
    reverts: int
    seed: str


def run(test, params, env):
    """
    1. Start the guest; lay canaries.
    2. Take many snapshots, each of other content; revert to some chosen at random: each has the content of its moment.
    3. Delete all of them in an order chosen at random, one at a time; none is left in libvirt or in the disks.
    4. Watch the guest for a while.
    """
    with case(test, params, env, Repeat) as it, defined(it) as stand:
        stand.bring_up()
        snapshots.many(stand, it.own)
        with stand.watched():
            stand.hold()
