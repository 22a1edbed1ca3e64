# SPDX-License-Identifier: GPL-2.0-or-later
"""
A vCPU that is plugged by its id is that one and no other: by libvirt's map, and by its APIC id in the guest.

Use case ``hvqual.cpu.hotplug.individual``, plugging.
"""

from dataclasses import dataclass

from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined
from provider.hvqual.operations import cpu_individual, cpu_work
from provider.hvqual.vcpu_room import growing


@dataclass(frozen=True)
class Enable:
    """How many vCPUs come behind those of the start: two are plugged, the first is left out; and for how many there is room."""

    plug_vcpus: int
    max_vcpus: int


def run(test, params, env):
    """
    1. Have the guests running, with room for more vCPUs.
    2. Plug two by their ids, leaving one out before them: those are there by all who can tell, are reached by the first, and compute.
    3. The agent takes one of them offline: it stays plugged and does nothing; it takes it online: it computes again.
    4. Give the definition another one by its id; what runs is as it was.
    5. An id that the guest cannot have is refused.
    """
    with case(test, params, env, Enable) as it, defined(it, growing(it.own.plug_vcpus, it.own.max_vcpus)) as stand:
        stand.bring_up()
        with stand.watched():
            stand.each(cpu_individual.leaving_a_gap)
            stand.each(cpu_work.each_computes)
            stand.each(cpu_individual.offline_and_online)
            stand.each(cpu_work.each_computes)
            stand.each(cpu_individual.defined_alone)
            stand.each(cpu_individual.unknown)
