# SPDX-License-Identifier: GPL-2.0-or-later
"""
Guests in huge pages whose vCPUs are pinned anew while they write their memory: every page is theirs, and comes back.

Use case ``hvqual.cpu.pin.with_hugepage``: pinning and huge pages in parallel.
"""

from dataclasses import dataclass

from provider.hvqual import allocation, hugepages, load, pins
from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined, shapes_of
from provider.hvqual.operations import page_places, power
from provider.hvqual.operations.pinning import Pinning
from provider.hvqual.operations.repin import moving


@dataclass(frozen=True)
class WithHugePage:
    """The size of the pages (KiB), the plans by which the vCPUs are pinned meanwhile, each for so long, and seconds to write all memory."""

    page_kib: int
    pin_plans: tuple[str, ...]
    repin_each: float
    touch_timeout: float


def run(test, params, env):
    """
    1. All memory of each guest is in huge pages and each vCPU has a host CPU; cancelled where the node has no such pages to give.
    2. The pool gave out exactly the pages of the guests' memory; smaps has them in pages of that size, numa_maps on the node's own nodes.
    3. Each guest writes all its memory and finds it again, while its vCPUs are pinned by one plan after the other.
    4. Pins and pages are as asked, by all who know; then the power is pulled, and all pages are back.
    """
    with case(test, params, env, WithHugePage) as it:
        own, in_turn = it.own, pins.in_turn(it.wanted)
        pins.require_choice(it)
        hugepages.require(own.page_kib, shapes_of(it), it.record)
        with defined(it, lambda shape: hugepages.backed(in_turn(shape), own.page_kib)) as stand:
            with hugepages.balanced(own.page_kib, stand.expect):
                with page_places.given_out(own.page_kib, stand):
                    stand.bring_up()
                pinning = Pinning(stand)
                stand.each(allocation.exact)
                with stand.watched():
                    with moving(pinning, own.pin_plans, own.repin_each):
                        stand.each(load.touch, own.touch_timeout)
                    pinning.holds(it.wanted.hold)
                    stand.each(hugepages.exact)
                    stand.each(page_places.on_nodes)
                hugepages.add_up(stand.guests, stand.expect)
                stand.each(power.destroy)
