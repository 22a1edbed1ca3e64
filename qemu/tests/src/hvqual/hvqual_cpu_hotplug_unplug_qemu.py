# SPDX-License-Identifier: GPL-2.0-or-later
"""
vCPUs that are unplugged through QEMU's monitor are gone from QEMU, host and guest, and QEMU tells so; no task is lost.

Twin of ``hvqual.cpu.hotplug.unplug``.
"""

from dataclasses import dataclass

from provider.hvqual import qemu_cpus, qemu_power
from provider.hvqual.case import case
from provider.hvqual.operations import cpu_work
from provider.hvqual.qemu_guests import described
from provider.hvqual.vcpu_room import growing


@dataclass(frozen=True)
class Unplug:
    """How many vCPUs are plugged and unplugged, how often, and for how many there is room."""

    plug_vcpus: int
    max_vcpus: int
    rounds: int


def run(test, params, env):
    """
    1. Have the guests running; that their first vCPU should go is refused.
    2. Plug vCPUs; each CPU computes. Unplug them as they compute: QEMU tells that each is gone, all have it gone, its task goes on.
    3. The same again, some times over.
    4. Restart the guest in its QEMU: what was unplugged stays gone.
    """
    with case(test, params, env, Unplug) as it, described(it, growing(it.own.plug_vcpus, it.own.max_vcpus)) as stand:
        stand.bring_up()
        stand.each(qemu_cpus.first_stays)
        with stand.watched(), cpu_work.loaded(stand.guests, stand.expect):
            for _ in range(1 + it.own.rounds):
                stand.each(qemu_cpus.plug_and_load, it.own.plug_vcpus)
                stand.each(qemu_cpus.unplug_under_load, it.own.plug_vcpus)
            stand.hold()
        stand.each(qemu_power.restart, "reset")
        stand.each(qemu_cpus.held)
