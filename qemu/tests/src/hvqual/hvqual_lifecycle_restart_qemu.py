# SPDX-License-Identifier: GPL-2.0-or-later
"""
A guest restarts below libvirt: once, in the same process, with the disk as it was.

Twin of ``hvqual.lifecycle.restart``.
"""

from dataclasses import dataclass

from provider.hvqual.backends import guests_of
from provider.hvqual.case import case


@dataclass(frozen=True)
class Restart:
    """Which ways are gone: reset, guest, destroy_start."""

    restart_methods: tuple[str, ...]


def run(test, params, env):
    """
    1. Start the guest; lay canaries.
    2. Restart it, in one way after the other: the same process, exactly one other boot, the disk as it was.
    3. Watch it for a while; it sees the CPUs, memory, disk and network interface that it was given.
    """
    with case(test, params, env, Restart) as it, guests_of(it) as backend:
        stand = backend.stand
        stand.bring_up()
        for method in it.own.restart_methods:
            stand.each(backend.restart, method)
        with stand.watched():
            stand.hold()
        stand.matches_model()
