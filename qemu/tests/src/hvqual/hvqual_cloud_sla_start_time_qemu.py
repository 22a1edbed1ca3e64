# SPDX-License-Identifier: GPL-2.0-or-later
"""
The start time below libvirt: what QEMU and the guest's kernel take of the 10 seconds.

Twin of ``hvqual.cloud.sla.start_time`` with the same observation names, so that a slow start is placed above or below libvirt.
"""

from dataclasses import dataclass

from provider.hvqual.backends import guests_of
from provider.hvqual.case import case


@dataclass(frozen=True)
class StartTime:
    """How many starts are measured."""

    rounds: int


def run(test, params, env):
    """
    1. Start QEMU: from letting the guest's CPUs run to *guest ready*.
    2. Pull its power; as many times as the profile asks for.
    """
    with case(test, params, env, StartTime) as it, guests_of(it) as backend:
        for _ in range(it.own.rounds):
            backend.stand.each(backend.start)
            backend.stand.each(backend.destroy)
