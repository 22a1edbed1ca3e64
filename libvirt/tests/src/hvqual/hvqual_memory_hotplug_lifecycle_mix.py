# SPDX-License-Identifier: GPL-2.0-or-later
"""
Lifecycle operations with DIMMs that come and go and a balloon that takes and gives, in a written order and at random.

Use case ``hvqual.memory.hotplug.lifecycle_mix``. The seed is in the result; the same walk again: ``--vt-extra-params hv_seed=SEED``.
"""

from dataclasses import dataclass

from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined
from provider.hvqual.operations.dimms import Dimms
from provider.hvqual.operations.followed import UP
from provider.hvqual.operations.memory_table import memory
from provider.hvqual.operations.table import LIFECYCLE
from provider.hvqual.operations.up import up
from provider.hvqual.walks import Walks


@dataclass(frozen=True)
class MemoryMix:
    """The DIMMs (`dimms.Wanted`), what the balloon takes (percent), the written order, the walk, and how often a failure is replayed."""

    dimms: int
    dimm_mib: int
    node_mib: int
    pattern_mib: int
    take_percent: float
    sequence: str
    rounds: int
    seed: str
    steps: int
    walk_with: tuple[str, ...]
    walk_without: tuple[str, ...]
    replays: int


def run(test, params, env):
    """
    1. Every guest goes through the written order, all at once: plugged, saved, reverted, restarted, unplugged, ballooned.
    2. After each operation libvirt, host and guest have the memory that the model foretells, and the guest its pattern in the DIMM.
    3. The same for operations chosen at random, each guest its own, among them those that must be.
    4. Each guest is brought up, and lives on without a break.
    """
    with case(test, params, env, MemoryMix) as it:
        own, dimms = it.own, Dimms(it.own)
        with defined(it, dimms.roomy) as stand:
            stand.bring_up()
            stand.each(dimms.begin)
            table = {**LIFECYCLE, **memory(dimms, own.take_percent)}
            Walks(stand, table, own.replays, dimms.as_foretold, UP).sequence(own.sequence, own.rounds)
            stand.each(up)
            table = {name: row for name, row in table.items() if name not in own.walk_without}
            Walks(stand, table, own.replays, dimms.as_foretold, UP).random(own.seed, own.steps, own.walk_with)
            stand.each(up)
            with stand.watched():
                stand.hold()
