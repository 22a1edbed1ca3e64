# SPDX-License-Identifier: GPL-2.0-or-later
"""
A LUN for guests' raw disks is there, is nobody's, and keeps what it is given.

Use case ``hvqual.prep.storage.raw_lun`` of the requirement's section 3, by the checks of `avocado hvqual node check`.
"""

from dataclasses import dataclass

from provider.hvqual import loop_lun, node_check
from provider.hvqual.case import case


@dataclass(frozen=True)
class RawLun:
    """The checks, what the node is held against, their time (s), and the size of a LUN that the node is lent (MiB; 0: none)."""

    checks: tuple[str, ...]
    node_expect: str
    check_timeout: float
    lun_mib: int


def run(test, params, env):
    """
    1. Take the LUNs of the operator's description, or lend the node one.
    2. Each is there by its WWID, large enough and provably nobody's.
    3. What is written to it past the page cache comes back, and what was there is put back.
    """
    with case(test, params, env, RawLun) as it:
        own = it.own
        with loop_lun.lent(own.lun_mib, it.wanted.disk_folder, it.record) as luns, it.record.step("node check"):
            found = node_check.ask(own.checks, own.node_expect, own.check_timeout, luns)
        node_check.observe(found, it.record)
