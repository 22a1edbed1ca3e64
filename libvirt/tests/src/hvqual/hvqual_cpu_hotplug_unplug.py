# SPDX-License-Identifier: GPL-2.0-or-later
"""
vCPUs that are unplugged from a running guest are gone from it, from QEMU, the host and libvirt, and none of its tasks is lost.

Use case ``hvqual.cpu.hotplug.unplug``.
"""

from dataclasses import dataclass

from provider.hvqual import vcpu_map
from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined
from provider.hvqual.operations import cpu_agent, cpu_hotplug, cpu_work, restart
from provider.hvqual.vcpu_room import growing


@dataclass(frozen=True)
class Unplug:
    """How many vCPUs are plugged and unplugged, how often, and for how many there is room."""

    plug_vcpus: int
    max_vcpus: int
    rounds: int


def run(test, params, env):
    """
    1. Have the guests running; that their first vCPU, or all, should go is refused.
    2. Plug vCPUs; each CPU computes. Unplug the last one as it computes: QEMU tells that it is gone, all have it gone, its task goes on.
    3. Take the other ones offline in the guest first, then unplug them: the same.
    4. Plug one and unplug it again, some times over.
    5. Restart the guest in its QEMU: what was unplugged stays gone.
    """
    with case(test, params, env, Unplug) as it, defined(it, growing(it.own.plug_vcpus, it.own.max_vcpus)) as stand:
        stand.bring_up()
        stand.each(cpu_hotplug.first_stays)
        with stand.watched(), cpu_work.loaded(stand.guests, stand.expect):
            stand.each(cpu_work.plug_and_load, it.own.plug_vcpus)
            stand.each(cpu_work.unplug_under_load)
            stand.each(cpu_agent.offline_and_unplug, it.own.plug_vcpus - 1)
            for _ in range(it.own.rounds):
                stand.each(cpu_work.round_under_load)
            stand.hold()
        stand.all_at_once(restart.restart, "reset")
        stand.all_at_once(vcpu_map.as_modelled)
