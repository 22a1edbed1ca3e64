# SPDX-License-Identifier: GPL-2.0-or-later
"""
VMs go through their life again and again, and the node does not wear out.

Use case ``hvqual.cloud.lifecycle_1000``: "Execute VM lifecycle tests for a number of times [say 1000 times]".
"""

from dataclasses import dataclass

from provider.hvqual import daemon_use
from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined
from provider.hvqual.operations.table import LIFECYCLE
from provider.hvqual.walks import Walks


@dataclass(frozen=True)
class Rounds:
    """Which operations, how often over, and how often a failure is replayed."""

    sequence: str
    rounds: int
    replays: int


def run(test, params, env):
    """
    1. Every VM goes through the sequence, all at once, as often as the profile asks for; held to its model after each step.
    2. The libvirt daemon holds no more files and threads than before.
    """
    with case(test, params, env, Rounds) as it, defined(it) as stand, daemon_use.watched(it.record):
        Walks(stand, LIFECYCLE, it.own.replays).sequence(it.own.sequence, it.own.rounds)
