# SPDX-License-Identifier: GPL-2.0-or-later
"""
What libvirt counts of a guest is what the guest did: a known load moves each counter by its size, and none goes back.

Use case ``hvqual.lifecycle.stats``.
"""

from dataclasses import dataclass

from provider.hvqual import together
from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined
from provider.hvqual.operations.statistics import Meter


@dataclass(frozen=True)
class Stats:
    """Which groups of counters are asked, and how much each guest does."""

    stat_groups: tuple[str, ...]
    load_disk_mib: int
    load_packets: int
    load_packet_bytes: int
    load_cpu: float
    load_memory_mib: int


def run(test, params, env):
    """
    1. Write to the disk and read it, send packets that are answered, fill memory, in every guest at once.
    2. Burn CPU time in one guest after the other, so that none waits for another.
    3. Each counter grew by what was done, as the guest's kernel and the host's say too.
    4. All commands and libvirt-python tell the same; no counter ever went back.
    """
    with case(test, params, env, Stats) as it, defined(it) as stand:
        stand.bring_up()
        with stand.watched():
            meters = [Meter(guest, stand.expect, it.own) for guest in stand.guests]
            for load in (Meter.disk, Meter.network, Meter.memory):
                together.each(meters, load)
            for meter in meters:
                meter.cpu()
            together.each(meters, Meter.agree)
            stand.hold()
