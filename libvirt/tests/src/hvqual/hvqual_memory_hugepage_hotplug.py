# SPDX-License-Identifier: GPL-2.0-or-later
"""
A DIMM in huge pages takes exactly its pages and gives them back; where one is missing the plug is refused and the guest lives on.

Use case ``hvqual.memory.hugepage.hotplug``.
"""

from dataclasses import dataclass

from provider.hvqual import allocation, hugepages
from provider.hvqual.case import case
from provider.hvqual.host_state import huge_pages
from provider.hvqual.libvirt_guests import defined, shapes_of
from provider.hvqual.operations import page_shortage, power
from provider.hvqual.operations.huge_dimms import HugeDimms


@dataclass(frozen=True)
class HugeHotplug:
    """The size of the pages (KiB), of the DIMM, of the guest's NUMA node for it and of the pattern that it holds (MiB)."""

    page_kib: int
    dimm_mib: int
    node_mib: int
    pattern_mib: int


def run(test, params, env):
    """
    1. Have guests in huge pages, with room for a DIMM.
    2. Leave the pool a page short: a DIMM in huge pages is refused, libvirt says that it is for memory; the guests live on as they were.
    3. With enough pages plug one: guest and libvirt have it, QEMU holds exactly its pages more; the guest holds a pattern in it.
    4. Unplug it: exactly its pages are given back. Pull the power: all are.
    """
    with case(test, params, env, HugeHotplug) as it:
        own, dimms = it.own, HugeDimms(it.own)
        hugepages.require(own.page_kib, [*map(dimms.roomy, shapes_of(it))], it.record)
        with defined(it, dimms.roomy) as stand, hugepages.balanced(own.page_kib, stand.expect):
            stand.bring_up()
            with stand.watched():
                with page_shortage.short_of(own.page_kib, dimms.pages):
                    stand.each(dimms.refused)
                with huge_pages(own.page_kib, dimms.pages * len(stand.guests)):
                    stand.each(dimms.plug)
                    stand.each(hugepages.exact)
                    stand.each(allocation.exact)
                    stand.each(dimms.unplug)
                    stand.each(hugepages.exact)
            stand.each(power.destroy)
