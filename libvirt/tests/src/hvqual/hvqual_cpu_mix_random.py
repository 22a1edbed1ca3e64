# SPDX-License-Identifier: GPL-2.0-or-later
"""
Lifecycle operations and vCPU hotplug in random order, each VM its own, all at once.

Use case ``hvqual.cpu.mix.random_combination``. The seed is in the result; the same walk again: ``--vt-extra-params hv_seed=SEED``.
"""

from dataclasses import dataclass

from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined
from provider.hvqual.operations.followed import UP
from provider.hvqual.operations.table import CPU_MIX, MOST_PLUGGED
from provider.hvqual.operations.up import up
from provider.hvqual.vcpu_room import growing
from provider.hvqual.walks import Walks


@dataclass(frozen=True)
class RandomMix:
    """The seed (empty: drawn anew), the length of each walk, what must and what may not be in it, and how often a failure is replayed."""

    seed: str
    steps: int
    walk_with: tuple[str, ...]
    walk_without: tuple[str, ...]
    replays: int
    max_vcpus: int


def run(test, params, env):
    """
    1. Every VM does operations chosen at random, all at once, among them those that must be.
    2. After each step libvirt, QEMU, host and guest have the vCPUs that the model foretells, live and defined.
    3. Each VM is brought up, and lives on without a break.
    """
    with case(test, params, env, RandomMix) as it, defined(it, growing(MOST_PLUGGED, it.own.max_vcpus)) as stand:
        own = it.own
        stand.bring_up()
        table = {name: row for name, row in CPU_MIX.items() if name not in own.walk_without}
        Walks(stand, table, own.replays, model=UP).random(own.seed, own.steps, own.walk_with)
        stand.each(up)
        with stand.watched():
            stand.hold()
