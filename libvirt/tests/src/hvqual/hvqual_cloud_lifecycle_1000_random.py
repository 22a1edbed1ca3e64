# SPDX-License-Identifier: GPL-2.0-or-later
"""
VMs go through operations in random order, as customers of a portal have them do, each VM its own, all at once.

Use case ``hvqual.cloud.lifecycle_1000_random``: "usually done in a random fashion by customers via cloud portal". The seed
is in the result; the same walk again: ``--vt-extra-params hv_seed=SEED``.
"""

from dataclasses import dataclass

from provider.hvqual import daemon_use
from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined
from provider.hvqual.operations.table import LIFECYCLE
from provider.hvqual.walks import Walks


@dataclass(frozen=True)
class RandomWalk:
    """The seed (empty: drawn anew), the length of each VM's walk, and how often a failure is replayed."""

    seed: str
    steps: int
    replays: int


def run(test, params, env):
    """
    1. Every VM does operations chosen at random, all at once; held to its model after each step.
    2. The libvirt daemon holds no more files and threads than before.
    """
    with case(test, params, env, RandomWalk) as it, defined(it) as stand, daemon_use.watched(it.record):
        Walks(stand, LIFECYCLE, it.own.replays).random(it.own.seed, it.own.steps)
