# SPDX-License-Identifier: GPL-2.0-or-later
"""
One VM has all that the node can give, and can use it.

Use case ``hvqual.hostcfg.single_big``: measured, not read from XML.
"""

from dataclasses import dataclass

from provider.hvqual import allocation, cpu_use, load
from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined


@dataclass(frozen=True)
class SingleBig:
    """How long the guest works, and how long it may take to write its memory."""

    burn: float
    touch_timeout: float


def run(test, params, env):
    """
    1. The VM is the node less its reserve: by libvirt's numbers of the node, and by the limits over its QEMU.
    2. Its guest writes all the memory that it has free and finds it again; the host holds that memory.
    3. All its CPUs work at once: each runs by the host's count, and libvirt answers meanwhile.
    4. It still is what was asked for, and lived without a break.
    """
    with case(test, params, env, SingleBig) as it, defined(it) as stand:
        stand.bring_up()
        stand.each(allocation.exact)
        cpu_use.observe_big(stand.guests[0], stand.expect)
        with stand.watched():
            stand.each(load.touch, it.own.touch_timeout)
            stand.each(cpu_use.resident)
            with it.record.step("load"), load.burning(stand.guests, 100, it.own.burn * 10 + 60):
                room = cpu_use.room_of(stand.guests[0], stand.expect)
                uses = cpu_use.used(
                    stand.guests, stand.expect, it.own.burn, lambda: cpu_use.observe_answer(stand.expect)
                )
            cpu_use.observe_all_run(uses, stand.expect, room.cpu_time)
        stand.each(allocation.exact)
