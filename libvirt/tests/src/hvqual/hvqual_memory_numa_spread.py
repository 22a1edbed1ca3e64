# SPDX-License-Identifier: GPL-2.0-or-later
"""
The memory of a VM is spread over the NUMA nodes of the host, or kept on one, and goes to others while the VM runs.

Use case ``hvqual.memory.numa.tune`` on a host of several nodes: "numa tuning".
"""

from dataclasses import dataclass

from provider.hvqual import capability, load, numa_policy
from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined
from provider.hvqual.operations import numa_live, numa_tuning, power


@dataclass(frozen=True)
class NumaSpread:
    """How long a guest may take to write its memory."""

    touch_timeout: float


def run(test, params, env):
    """
    1. Have the memory of each guest interleaved over all nodes, and let it write all of it: each node has an even share.
    2. Keep it on the first node (strict): all of it is there. Cancelled on a host with one node.
    3. Let it be on one node after the other while the guest runs (restrictive): what it holds goes there.
    """
    with case(test, params, env, NumaSpread) as it:
        nodes = numa_policy.online()
        several, told = len(nodes) > 1, f"it has memory on the nodes {nodes}"
        capability.require("several NUMA nodes with memory", told, it.record, ok=several)
        with defined(it) as stand:
            for mode, where in (("interleave", nodes), ("strict", nodes[:1]), ("restrictive", nodes[:1])):
                stand.each(numa_tuning.tune, mode, where)
                stand.each(power.start)
                stand.arm()
                with stand.watched():
                    stand.each(load.touch, it.own.touch_timeout)
                    stand.each(numa_tuning.placed, mode, where)
                    stand.each(numa_live.spread, where)
                    if mode == "restrictive":
                        stand.each(numa_tuning.move, nodes[1:2])
                stand.each(power.destroy)
