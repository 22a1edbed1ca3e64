# SPDX-License-Identifier: GPL-2.0-or-later
"""
vCPUs that are plugged into a running guest by their number work in it: up to as many as it may have, and not one more.

Use case ``hvqual.cpu.hotplug.plug``.
"""

from dataclasses import dataclass

from provider.hvqual import vcpu_map
from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined
from provider.hvqual.operations import cpu_hotplug, cpu_work, power
from provider.hvqual.vcpu_room import growing


@dataclass(frozen=True)
class Plug:
    """How many vCPUs are plugged, on how much of the node's CPUs they run (percent), and whether the guest is started with them again."""

    plug_vcpus: int
    cpuset_share: int
    start_again: bool


def run(test, params, env):
    """
    1. Have the guests running, with room for more vCPUs.
    2. Plug one: libvirt, QEMU, host and guest have it; it runs where the others may; its definition is as it was.
    3. Plug the others up to the most, into the definition too; each CPU computes rightly and is interrupted; the guest lives on.
    4. One more is refused. Give the definition one less: what runs is as it was.
    5. Start the guest anew: it has the vCPUs of its definition.
    """
    with case(test, params, env, Plug) as it:
        with defined(it, growing(it.own.plug_vcpus, share=it.own.cpuset_share)) as stand:
            stand.bring_up()
            with stand.watched():
                stand.each(cpu_hotplug.plug)
                stand.each(cpu_hotplug.fill)
                stand.each(cpu_work.each_computes)
                stand.hold()
            stand.each(cpu_hotplug.beyond)
            stand.each(cpu_hotplug.define)
            if it.own.start_again:
                stand.each(power.destroy)
                stand.each(power.boots_again)
                stand.each(vcpu_map.as_modelled)
