# SPDX-License-Identifier: GPL-2.0-or-later
"""
Lifecycle operations with vCPUs plugged (or unplugged) before and after each, in a written order.

Use case ``hvqual.cpu.mix.sequence``: "lifecycle tests along with cpu hotplug/unplug in different sequence".
"""

from dataclasses import dataclass

from provider.hvqual.case import case
from provider.hvqual.cpu_pairs import covered
from provider.hvqual.libvirt_guests import defined
from provider.hvqual.operations.followed import UP
from provider.hvqual.operations.table import CPU_MIX, MOST_PLUGGED
from provider.hvqual.vcpu_room import growing
from provider.hvqual.walks import Walks


@dataclass(frozen=True)
class Sequence:
    """The sequence, the operations that must have hotplug before and after them in it, and how often it is done and a failure replayed."""

    sequence: str
    pairs_of: tuple[str, ...]
    rounds: int
    replays: int
    max_vcpus: int


def run(test, params, env):
    """
    1. Each operation that is to be paired stands between two of hotplug in the sequence.
    2. Every VM does the sequence; after each step libvirt, QEMU, host and guest have the vCPUs that the model foretells, live and defined.
    3. Each VM lives on without a break.
    """
    with case(test, params, env, Sequence) as it, defined(it, growing(MOST_PLUGGED, it.own.max_vcpus)) as stand:
        covered(it.own.sequence, it.own.pairs_of, it.record)
        stand.bring_up()
        Walks(stand, CPU_MIX, it.own.replays, model=UP).sequence(it.own.sequence, it.own.rounds)
        with stand.watched():
            stand.hold()
