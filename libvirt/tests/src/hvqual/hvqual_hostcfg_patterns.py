# SPDX-License-Identifier: GPL-2.0-or-later
"""
The cloud's flavors stand on the node together, each exactly what its flavor says.

Use case ``hvqual.hostcfg.patterns``: CPUs, memory, disks, network interfaces, IOThreads, pinning and huge pages, measured.
"""

from dataclasses import dataclass

from provider.hvqual import allocation, cpu_use, load
from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined


@dataclass(frozen=True)
class Patterns:
    """How long the guests work and how much (percent of a CPU for each vCPU), and how long they may take to write their memory."""

    burn: float
    burn_share: float
    touch_timeout: float


def run(test, params, env):
    """
    1. Each VM is its flavor by libvirt, host and guest; together they have no more memory than the node gives.
    2. Each guest writes all the memory that it has free and finds it again; the host holds all of it at once.
    3. All CPUs of all VMs work at once: each vCPU runs, and a pinned one nowhere but on its own host CPU.
    4. Each still is its flavor, and lived without a break.
    """
    with case(test, params, env, Patterns) as it, defined(it) as stand:
        stand.bring_up()
        stand.each(allocation.exact)
        cpu_use.observe_together(stand.guests, stand.expect)
        with stand.watched():
            stand.each(load.touch, it.own.touch_timeout)
            stand.each(cpu_use.resident)
            strays = cpu_use.Strays(stand.guests)
            with it.record.step("load"), load.burning(stand.guests, it.own.burn_share, it.own.burn * 10 + 60):
                uses = cpu_use.used(stand.guests, stand.expect, it.own.burn, strays.look)
        stand.each(allocation.exact)
        strays.conclude(uses, stand.expect)
