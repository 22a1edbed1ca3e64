# SPDX-License-Identifier: GPL-2.0-or-later
"""
A guest restarts in every way that a cloud offers: once, in the same place, with the disk as it was.

Use case ``hvqual.lifecycle.restart``.
"""

from dataclasses import dataclass

from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined
from provider.hvqual.operations import restart


@dataclass(frozen=True)
class Restart:
    """Which ways are gone: acpi, agent, reset, guest, destroy_start."""

    restart_methods: tuple[str, ...]


def run(test, params, env):
    """
    1. Start the guest; lay canaries.
    2. Restart it, in one way after the other: the same domain in the same process, exactly one other boot, the disk as it was.
    3. Watch it for a while; it sees the CPUs, memory, disks and network interfaces that it was given.
    """
    with case(test, params, env, Restart) as it, defined(it) as stand:
        methods = restart.known(it.own.restart_methods)
        stand.bring_up()
        for method in methods:
            stand.each(restart.restart, method)
        with stand.watched():
            stand.hold()
        stand.matches_model()
