# SPDX-License-Identifier: GPL-2.0-or-later
"""
A guest shuts down by its power button or its agent, and what it had written is there when it boots again.

Use case ``hvqual.lifecycle.shutdown``.
"""

from dataclasses import dataclass

from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined
from provider.hvqual.operations import power


@dataclass(frozen=True)
class Shutdown:
    """By what it is asked: acpi (power button), agent."""

    shutdown_modes: tuple[str, ...]


def run(test, params, env):
    """
    1. Start the guest; lay canaries; watch it for a while.
    2. Have it write to its disk without syncing, and ask it to shut down: libvirt says why it stopped, its kernel that it powered off,
       the host holds nothing of it any more.
    3. It boots again, another boot, with the disk as it was and the last write on it; in each mode.
    """
    with case(test, params, env, Shutdown) as it, defined(it) as stand:
        stand.bring_up()
        with stand.watched():
            stand.hold()
        for mode in it.own.shutdown_modes:
            stand.each(power.down_and_up, mode)
