# SPDX-License-Identifier: GPL-2.0-or-later
"""
A vCPU that is unplugged by its id is that one and no other, wherever it stands among those of the guest.

Use case ``hvqual.cpu.hotplug.individual``, unplugging.
"""

from dataclasses import dataclass

from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined
from provider.hvqual.operations import cpu_hotplug, cpu_individual, cpu_work
from provider.hvqual.vcpu_room import growing


@dataclass(frozen=True)
class Disable:
    """How many vCPUs are plugged, and for how many there is room."""

    plug_vcpus: int
    max_vcpus: int


def run(test, params, env):
    """
    1. Have the guests running; plug vCPUs.
    2. Unplug the first of these by its id: exactly it is gone by all who can tell, the others compute.
    3. Plug it again by its id: it is there again, and computes.
    4. Unplug all of them by their ids, the first one first; the guest has what it had at its start.
    """
    with case(test, params, env, Disable) as it, defined(it, growing(it.own.plug_vcpus, it.own.max_vcpus)) as stand:
        stand.bring_up()
        with stand.watched():
            stand.each(cpu_hotplug.plug, it.own.plug_vcpus)
            stand.each(cpu_individual.out_and_in, it.own.plug_vcpus)
            stand.each(cpu_work.each_computes)
            stand.each(cpu_individual.all_out, it.own.plug_vcpus)
            stand.each(cpu_work.each_computes)
