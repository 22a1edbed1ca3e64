# SPDX-License-Identifier: GPL-2.0-or-later
"""
Snapshots beside raw disks: merged back without a change of data, and reverted to with memory and without.

Use case ``hvqual.lifecycle.snapshot.external``. A libvirt before 9.10 cannot revert to them: it must say so, and the procedure
of its documentation must work; a later one must do it itself. Which was done stands in the result as a capability.
"""

from dataclasses import dataclass

from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined
from provider.hvqual.operations import external


@dataclass(frozen=True)
class External:
    """What the snapshots hold that are reverted to: 'memory' (and the disks), 'disks' (alone)."""

    revert_kinds: tuple[str, ...]


def run(test, params, env):
    """
    1. Start the guest; lay canaries; watch it for a while.
    2. Take a snapshot of its disks: overlays are active, the disks stay as they are; merge them back: no data changes.
    3. Take one with memory; revert to it: the same boot with memory, processes and disks of that moment.
    4. Take one of the disks alone; revert to it: the guest boots with the disks of that moment. A boot takes long where several
       guests share few CPUs: in a lab this is done under single_big.
    5. Watch it for a while.
    """
    with case(test, params, env, External) as it, defined(it) as stand:
        stand.bring_up()
        with stand.watched():
            stand.hold()
        stand.each(external.merged_and_reverted, it.own.revert_kinds)
        with stand.watched():
            stand.hold()
