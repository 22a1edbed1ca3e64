# SPDX-License-Identifier: GPL-2.0-or-later
"""
A raw disk, which the requirement asks for, can hold no snapshot: that is refused in clear words, and the guest lives on.

Use case ``hvqual.lifecycle.snapshot.internal``, on disks that cannot hold snapshots.
"""

from dataclasses import dataclass

from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined
from provider.hvqual.operations import snapshots


@dataclass(frozen=True)
class OnRaw:
    """Nothing of its own."""


def run(test, params, env):
    """
    1. Start the guest; lay canaries.
    2. While it is watched ask for an internal snapshot: libvirt refuses, names disk and format, and has no snapshot of it.
    """
    with case(test, params, env, OnRaw) as it, defined(it) as stand:
        stand.bring_up()
        with stand.watched():
            stand.each(snapshots.refused, "refused")
            stand.hold()
