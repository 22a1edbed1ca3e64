# SPDX-License-Identifier: GPL-2.0-or-later
"""
Each vCPU runs on the host CPUs that it is pinned to and on no other, whichever way it came there.

Use case ``hvqual.cpu.pin.vcpu_affinity``: where threads really ran, by the host's scheduler.
"""

from dataclasses import dataclass

from provider.hvqual import pins
from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined
from provider.hvqual.operations.pinning import Pinning, own_thread


@dataclass(frozen=True)
class VcpuAffinity:
    """The plans by which what runs is pinned and what is defined, what pins outlive, how long and how much the guests work."""

    pin_plans: tuple[str, ...]
    pin_config: str
    pin_survives: tuple[str, ...]
    burn: float
    burn_share: float


def run(test, params, env):
    """
    1. The guests run where their definitions say; work on one of a guest's CPUs is work of that CPU's thread.
    2. While they work, they are pinned by each plan: libvirt, virsh, XML, scheduler and cgroup tell it, and each runs there only.
    3. The definitions are pinned otherwise: what runs stays where it is, over save and restore and over a reset.
    4. Only what is started anew runs where the definitions now say.
    """
    with case(test, params, env, VcpuAffinity) as it, defined(it, pins.in_turn(it.wanted)) as stand:
        stand.bring_up()
        pinning = Pinning(stand)
        with stand.watched():
            pinning.holds(it.wanted.hold)
            stand.each(own_thread)
            with pinning.work(it.own.burn_share, it.own.burn * 20 + 60):
                for plan in it.own.pin_plans:
                    pinning.live(plan)
                    pinning.holds(it.own.burn)
        pinning.config(it.own.pin_config)
        for way in it.own.pin_survives:
            pinning.outlives(way)
            pinning.holds(it.wanted.hold)
