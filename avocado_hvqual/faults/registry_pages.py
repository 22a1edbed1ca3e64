# SPDX-License-Identifier: GPL-2.0-or-later
"""The faults of what is behind a guest's memory (huge pages, transparent ones, NUMA nodes), as `registry.FAULTS` has them."""

from __future__ import annotations

from avocado_hvqual.faults.fault import Fault

HUGE_LIFE = "hvqual.memory.hugepage.lifecycle"
HUGE_PLUG = "hvqual.memory.hugepage.hotplug"
SHORTAGE = "hvqual.memory.hugepage.shortage"
SMALL_LIFE = "hvqual.memory.no_hugepage.lifecycle"
MEMORY_NUMA = "hvqual.memory.numa.tune"
THP_BASE = "hvqual.memory.thp.base"
THP_LIFE = "hvqual.memory.thp.lifecycle"
DEFRAG = "hvqual.memory.thp.defrag_swap"
SWAP = "hvqual.memory.thp.defrag_swap:swap=zram"

PAGES = (
    Fault(
        "huge-pages-are-not-behind",
        (HUGE_LIFE, HUGE_PLUG),
        r"should hold \d+ KiB in huge pages of 2048 KiB|should hold \d+ huge pages",
        "major",
        emulator="small-pages",
    ),
    Fault(
        "huge-page-is-kept",
        (HUGE_LIFE, SHORTAGE, SMALL_LIFE),
        r"Huge pages of 2048 KiB are left behind.*'processes': 1",
        "major",
        act="keep-page",
        step="compare allocation",
    ),
    Fault(
        "shortage-is-none",
        (SHORTAGE,),
        r"was started with a pool that lacks",
        "major",
        act="add-pages",
        step="start short",
    ),
    Fault("refused-start-is-reported-done", (SHORTAGE,), r"was started with a pool that lacks", "major", lie="start"),
    Fault(
        "refused-plug-is-reported-done",
        (HUGE_PLUG,),
        r"was plugged into .* though a huge page",
        "major",
        lie="attach-device",
    ),
    Fault("numa-policy-is-ignored", (MEMORY_NUMA,), r"numa_maps has the policy", "major", emulator="any-node"),
    Fault(
        "numatune-of-running-does-nothing",
        (MEMORY_NUMA,),
        r"should be interleave on|was tied to node .* which the host has not",
        "major",
        lie="numatune",
        # Reading is honest.
        asked="--live",
    ),
    Fault(
        "thp-goes-off",
        (THP_BASE,),
        r"thp_growth|should lie in transparent huge pages|thp_faults",
        "major",
        act="thp-off",
        step="fill memory",
    ),
    Fault(
        "thp-is-not-re-formed",
        (THP_LIFE, SMALL_LIFE),
        r"should lie in transparent huge pages|'thp_backed' saw",
        "major",
        act="thp-off",
        step="save",
    ),
    Fault(
        "khugepaged-does-nothing", (DEFRAG,), r"thp_collapse|should lie in", "major", act="thp-off", step="khugepaged"
    ),
    Fault("memtune-does-nothing", (SWAP,), r"should be limited to", "major", lie="memtune"),
)
