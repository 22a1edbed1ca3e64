# SPDX-License-Identifier: GPL-2.0-or-later
"""
The memory of a VM, in small pages and in huge ones, lies on the NUMA nodes that it was tied to; a change waits for its time.

Use case ``hvqual.memory.numa.tune``: "numa tuning".
"""

import dataclasses
from dataclasses import dataclass

from provider.hvqual import hugepages, numa_policy, thp
from provider.hvqual.case import case
from provider.hvqual.domain_xml import Tuning
from provider.hvqual.libvirt_guests import defined, shapes_of
from provider.hvqual.operations import numa_live, numa_tuning, power


@dataclass(frozen=True)
class NumaTune:
    """Which of libvirt's modes, the size of huge pages of the guests (KiB, 0 for none), and how much of its free memory one writes."""

    numa_modes: tuple[str, ...]
    page_kib: int
    fill_share: float


def run(test, params, env):
    """
    1. Start guests with their memory tied to the nodes that the host has; they write to it, and none of it is elsewhere.
    2. Another mode and an absent node are refused while they run, and why; the policy stays, they live on without a break.
    3. Tie them in each other mode for their next start: as they run nothing changes.
    4. Start them held in each mode: libvirt, cgroup and page tables have the policy. An absent node is refused, and why.
    """
    with case(test, params, env, NumaTune) as it:
        own, nodes = it.own, numa_policy.online()
        first, *others = numa_tuning.known(own.numa_modes)
        tuning = Tuning(numa_mode=first, numa_nodes=numa_tuning.text(nodes))
        if own.page_kib:
            hugepages.require(own.page_kib, shapes_of(it), it.record)
        with defined(
            it, lambda shape: dataclasses.replace(hugepages.sized(shape, own.page_kib), tuning=tuning)
        ) as stand:
            stand.bring_up()
            with stand.watched():
                stand.each(thp.written, own.fill_share)
                stand.each(numa_tuning.placed, first, nodes)
                stand.each(numa_live.unchanged, first, nodes)
                stand.each(numa_live.next_time, first, (others or [first])[0], nodes)
            stand.each(power.destroy)
            for mode in others:
                stand.each(numa_tuning.tune, mode, nodes)
                stand.each(numa_live.held, mode, nodes)
            stand.each(numa_tuning.absent_is_refused, first, nodes)
