# SPDX-License-Identifier: GPL-2.0-or-later
"""
A VM with as many vCPUs as can be had goes through its whole life and keeps them all.

Use case ``hvqual.cpu.limit.max_vcpus_lifecycle``: "max vcpus ... and performing all lifecycle activities".
"""

from dataclasses import dataclass

from provider.hvqual import most_vcpus
from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined
from provider.hvqual.operations.table import LIFECYCLE
from provider.hvqual.walks import Walks


@dataclass(frozen=True)
class Life:
    """How many vCPUs ('machine', 'node', or a number), which operations, and how often a failure is replayed."""

    vcpus: str
    sequence: str
    replays: int


def run(test, params, env):
    """
    1. Give each guest as many vCPUs as are asked for.
    2. It goes through the operations; after each that leaves it running libvirt, host and guest count all its vCPUs, and each works.
    3. It lives on without a break.
    """
    with case(test, params, env, Life) as it:
        machine = most_vcpus.limit(it)
        count = most_vcpus.wanted(it, it.own.vcpus, machine)

        def all_there(guest, expect):
            most_vcpus.told(guest, expect, machine)
            most_vcpus.each_works(guest, expect)

        with defined(it, lambda shape: most_vcpus.given(shape, count)) as stand:
            Walks(stand, LIFECYCLE, it.own.replays, all_there).sequence(it.own.sequence, 1)
            with stand.watched():
                stand.hold()
