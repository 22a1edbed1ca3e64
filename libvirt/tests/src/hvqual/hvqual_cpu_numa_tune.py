# SPDX-License-Identifier: GPL-2.0-or-later
"""
The memory of a VM is tied to NUMA nodes of the host in each way that libvirt has, and lies there.

Use case ``hvqual.cpu.numa.tune``: "numa tuning".
"""

from dataclasses import dataclass

from provider.hvqual import cpu_use, load, numa_policy
from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined
from provider.hvqual.operations import numa_tuning, power


@dataclass(frozen=True)
class NumaTune:
    """Which of libvirt's modes, and how long a guest may take to write its memory."""

    numa_modes: tuple[str, ...]
    touch_timeout: float


def run(test, params, env):
    """
    1. A node that the host has not is refused, and why.
    2. In one mode after the other, on all nodes with memory: the guest starts, libvirt, cgroup and kernel have the policy.
    3. The guest writes all its memory and finds it again: none of it is anywhere else.
    """
    with case(test, params, env, NumaTune) as it, defined(it) as stand:
        modes, nodes = numa_tuning.known(it.own.numa_modes), numa_policy.online()
        stand.each(numa_tuning.absent_is_refused, modes[0], nodes)
        for mode in modes:
            stand.each(numa_tuning.tune, mode, nodes)
            stand.each(power.start)
            stand.arm()
            with stand.watched():
                stand.each(load.touch, it.own.touch_timeout)
                stand.each(cpu_use.resident)
            stand.each(numa_tuning.placed, mode, nodes)
            stand.each(power.destroy)
