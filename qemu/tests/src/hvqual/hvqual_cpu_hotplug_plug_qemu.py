# SPDX-License-Identifier: GPL-2.0-or-later
"""
vCPUs that are plugged into a running guest through QEMU's monitor work in it, up to as many as it may have.

Twin of ``hvqual.cpu.hotplug.plug``.
"""

from dataclasses import dataclass

from provider.hvqual import qemu_cpus
from provider.hvqual.case import case
from provider.hvqual.operations import cpu_work
from provider.hvqual.qemu_guests import described
from provider.hvqual.vcpu_room import growing


@dataclass(frozen=True)
class Plug:
    """How many vCPUs are plugged, which are all for which there is room."""

    plug_vcpus: int


def run(test, params, env):
    """
    1. Have the guests running, with room for more vCPUs.
    2. Plug one, then the others: QEMU, host and guest have them, and the guest's firmware confirmed them.
    3. Each CPU computes rightly and is interrupted; the guest lives on.
    """
    with case(test, params, env, Plug) as it, described(it, growing(it.own.plug_vcpus)) as stand:
        stand.bring_up()
        with stand.watched():
            stand.each(qemu_cpus.plug)
            stand.each(qemu_cpus.plug, it.own.plug_vcpus - 1)
            stand.each(cpu_work.each_computes)
            stand.hold()
