# SPDX-License-Identifier: GPL-2.0-or-later
"""
A guest boots and lives without a break, through libvirt or with QEMU alone.

Twin of ``hvqual.lifecycle.start`` for any backend.
"""

from dataclasses import dataclass

from provider.hvqual.backends import guests_of
from provider.hvqual.case import case


@dataclass(frozen=True)
class Boot:
    """Nothing of its own."""


def run(test, params, env):
    """
    1. Start the guest; wait until its userspace runs.
    2. Lay canaries in its memory and on its disk; watch it for a while.
    3. It sees the CPUs, memory, disk and network interface that it was given.
    """
    with case(test, params, env, Boot) as it, guests_of(it) as backend:
        stand = backend.stand
        stand.bring_up()
        with stand.watched():
            stand.hold()
        stand.matches_model()
