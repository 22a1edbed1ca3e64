# SPDX-License-Identifier: GPL-2.0-or-later
"""
A guest whose power is pulled is off at once, and boots again with what it had synced to its disk.

Use case ``hvqual.lifecycle.destroy``.
"""

from dataclasses import dataclass

from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined
from provider.hvqual.operations import power


@dataclass(frozen=True)
class Destroy:
    """Nothing of its own."""


def run(test, params, env):
    """
    1. Start the guest; lay canaries; watch it for a while.
    2. Pull its power: libvirt says that it was destroyed, the host holds nothing of it any more.
    3. It boots again, another boot, with the disk as it was.
    """
    with case(test, params, env, Destroy) as it, defined(it) as stand:
        stand.bring_up()
        with stand.watched():
            stand.hold()
        stand.each(power.destroy)
        stand.each(power.boots_again)
