# SPDX-License-Identifier: GPL-2.0-or-later
"""
A guest goes down by its power button in order and boots again, through libvirt or with QEMU alone.

Twin of ``hvqual.lifecycle.shutdown`` for any backend.
"""

from dataclasses import dataclass

from provider.hvqual.backends import guests_of
from provider.hvqual.case import case


@dataclass(frozen=True)
class PowerOff:
    """Nothing of its own."""


def run(test, params, env):
    """
    1. Start the guest; lay canaries; watch it for a while.
    2. Have it write to its disk without syncing, and press its power button: its kernel says that it powered off, the host holds
       nothing of it any more.
    3. It boots again, another boot, with the disk as it was and the last write on it.
    """
    with case(test, params, env, PowerOff) as it, guests_of(it) as backend:
        stand = backend.stand
        stand.bring_up()
        with stand.watched():
            stand.hold()
        stand.each(backend.down_and_up, "acpi")
