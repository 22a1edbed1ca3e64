# SPDX-License-Identifier: GPL-2.0-or-later
"""
The memory of a VM is on the one NUMA node of the host that it was tied to, and goes to another while the VM runs.

Use case ``hvqual.cpu.numa.tune`` on a host of several nodes: "numa tuning".
"""

from dataclasses import dataclass

from provider.hvqual import capability, cpu_use, load, numa_policy
from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined
from provider.hvqual.operations import numa_tuning, power

MODE = "restrictive"
"""The only one whose nodes can be changed while a guest runs (libvirt 9.0)."""


@dataclass(frozen=True)
class NumaMove:
    """How long a guest may take to write its memory."""

    touch_timeout: float


def run(test, params, env):
    """
    1. Tie the guest's memory to the first node, start it, let it write all of it: it is there.
    2. Tie it to one node after the other while it runs: all that it holds goes there, and it lives on without a break.
    """
    with case(test, params, env, NumaMove) as it:
        nodes = numa_policy.online()
        several, told = len(nodes) > 1, f"it has memory on the nodes {nodes}"
        capability.require("several NUMA nodes with memory", told, it.record, ok=several)
        with defined(it) as stand:
            stand.each(numa_tuning.tune, MODE, nodes[:1])
            stand.each(power.start)
            stand.arm()
            with stand.watched():
                stand.each(load.touch, it.own.touch_timeout)
                stand.each(cpu_use.resident)
                stand.each(numa_tuning.placed, MODE, nodes[:1])
                for node in [*nodes[1:], nodes[0]]:
                    stand.each(numa_tuning.move, [node])
                    stand.each(numa_tuning.placed, MODE, [node])
