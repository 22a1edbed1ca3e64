# SPDX-License-Identifier: GPL-2.0-or-later
"""
A guest shuts down by its power button, and what it had written is there when it boots again.

Use case ``hvqual.lifecycle.shutdown``.
"""

from dataclasses import dataclass

from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined
from provider.hvqual.operations import power


@dataclass(frozen=True)
class Shutdown:
    """Nothing of its own."""


def run(test, params, env):
    """
    1. Start the guest; lay canaries; watch it for a while.
    2. Press its power button: libvirt says why it stopped, the host holds nothing of it any more.
    3. It boots again, another boot, with the disk as it was.
    """
    with case(test, params, env, Shutdown) as it, defined(it) as stand:
        stand.bring_up()
        with stand.watched():
            stand.hold()
        stand.each(power.shutdown)
        stand.each(power.boots_again)
