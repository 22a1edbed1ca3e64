# SPDX-License-Identifier: GPL-2.0-or-later
"""
n VMs share the node equally: in what they are given, and in what they get when all want everything.

Use case ``hvqual.hostcfg.n_equal``: measured, not read from XML.
"""

from dataclasses import dataclass

from provider.hvqual import allocation, cpu_use, load
from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined
from provider.hvqual.steps import pass_time


@dataclass(frozen=True)
class NEqual:
    """How long the guests work, and how long they may take to write their memory."""

    burn: float
    settle: float
    touch_timeout: float


def run(test, params, env):
    """
    1. Each VM has the same by libvirt, host and guest; together they have no more than the node gives.
    2. Each guest writes all the memory that it has free and finds it again; the host holds all of it at once.
    3. All CPUs of all VMs work at once: by the host's and by libvirt's count each VM gets the same.
    4. Each still is what was asked for, and lived without a break.
    """
    with case(test, params, env, NEqual) as it, defined(it) as stand:
        stand.bring_up()
        stand.each(allocation.exact)
        cpu_use.observe_together(stand.guests, stand.expect)
        with stand.watched():
            stand.each(load.touch, it.own.touch_timeout)
            stand.each(cpu_use.resident)
            with it.record.step("load"), load.burning(stand.guests, 100, it.own.burn * 10 + 60):
                pass_time(it.own.settle)
                uses = cpu_use.used(stand.guests, stand.expect, it.own.burn)
            cpu_use.observe_equal(uses, stand.expect)
        stand.each(allocation.exact)
