# SPDX-License-Identifier: GPL-2.0-or-later
"""
vCPUs come and go while all CPUs of the guest work and check their results; nothing is computed wrongly, nothing stalls.

Use case ``hvqual.cpu.hotplug.under_load``: with `hv_unplug`, each one that was plugged goes again.
"""

from dataclasses import dataclass

from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined
from provider.hvqual.operations import cpu_work
from provider.hvqual.vcpu_room import growing


@dataclass(frozen=True)
class UnderLoad:
    """How often a vCPU is plugged, whether it is unplugged each time, and for how many there is room."""

    rounds: int
    unplug: bool
    max_vcpus: int


def run(test, params, env):
    """
    1. Have the guests running, and each of their CPUs at work on a job whose result is known here, in memory that it checks.
    2. Plug a vCPU, have it work too; all jobs go on and are right. Some times over.
       Where that is asked for unplug it each time: its job goes on elsewhere.
    3. The guests' kernels had no error meanwhile, and the guests lived without a break.
    """
    with case(test, params, env, UnderLoad) as it, defined(it, growing(it.own.rounds, it.own.max_vcpus)) as stand:
        stand.bring_up()
        with stand.watched(), cpu_work.loaded(stand.guests, stand.expect):
            for _ in range(it.own.rounds):
                stand.each(cpu_work.round_under_load if it.own.unplug else cpu_work.plug_and_load)
