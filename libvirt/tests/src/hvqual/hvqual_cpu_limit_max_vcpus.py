# SPDX-License-Identifier: GPL-2.0-or-later
"""
A VM gets as many vCPUs as can be had, each of them works, and one more is refused.

Use case ``hvqual.cpu.limit.max_vcpus``: "assigning max vcpus to a virtual machine".
"""

from dataclasses import dataclass
from pathlib import Path

from provider.hvqual import most_vcpus
from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined


@dataclass(frozen=True)
class MaxVcpus:
    """How many: 'machine', 'node', or a number."""

    vcpus: str


def run(test, params, env):
    """
    1. Start the guests with as many vCPUs as are asked for: libvirt, the host's threads and the guest's lists have them all.
    2. On each of them a task runs and timer interrupts arrive.
    3. A guest of one vCPU more than the machine type has is refused, and why.
    """
    with case(test, params, env, MaxVcpus) as it:
        machine = most_vcpus.limit(it)
        count = most_vcpus.wanted(it, it.own.vcpus, machine)
        with defined(it, lambda shape: most_vcpus.given(shape, count)) as stand:
            stand.bring_up()
            with stand.watched():
                stand.each(most_vcpus.told, machine)
                stand.each(most_vcpus.each_works)
                most_vcpus.one_more_is_refused(stand.guests[0], stand.expect, machine, Path(test.logdir))
