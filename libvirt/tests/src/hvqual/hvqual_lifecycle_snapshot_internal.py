# SPDX-License-Identifier: GPL-2.0-or-later
"""
A guest reverted to a snapshot in its own disks is the guest of that moment: memory, processes and disks.

Use case ``hvqual.lifecycle.snapshot.internal``, on disks that can hold snapshots (qcow2).
"""

from dataclasses import dataclass

from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined
from provider.hvqual.operations import snapshots


@dataclass(frozen=True)
class Internal:
    """Nothing of its own."""


def run(test, params, env):
    """
    1. Start the guest; lay canaries; watch it for a while.
    2. Take a snapshot and a child of it, with other content each time; libvirt and the disks' own tables have them.
    3. Revert to each: content and process of that moment, the same boot, younger heartbeats; delete each, the other stays whole.
    4. Watch it for a while.
    """
    with case(test, params, env, Internal) as it, defined(it) as stand:
        stand.bring_up()
        with stand.watched():
            stand.hold()
        stand.each(snapshots.tree)
        with stand.watched():
            stand.hold()
