# SPDX-License-Identifier: GPL-2.0-or-later
"""
A guest is ready in less than 10 seconds, the slowest of all starts judged.

Use case ``hvqual.cloud.sla.start_time``: "more than 10 s qualifies to be a bug even though functionality does not have
an issue". Judged is *guest ready*: a customer who waits for a VM does not care when its QEMU runs. The slowest start is
under the limit, so every percentile is.
"""

from dataclasses import dataclass

from provider.hvqual import start_time
from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined
from provider.hvqual.params import Words


@dataclass(frozen=True)
class StartTime:
    """How often each start is measured, how much the other VMs work meanwhile, and which images are tried if they are there."""

    rounds: int
    loaded_rounds: int
    load_share: float
    load_least: float
    more_images: Words


def run(test, params, env):
    """
    1. Start each VM alone on the empty node: from the call to *domain running*, and to *guest ready*; pull its power.
    2. As often with all that the start reads in the page cache, and with none of it (as far as only this start reads it).
    3. Start one more of equal VMs while all the others work.
    """
    with case(test, params, env, StartTime) as it:
        own, equal = it.own, it.identity.host_config == "n_equal"
        for view in start_time.images_there(it, own.more_images):
            with defined(view) as stand:
                start_time.alone(stand, stand.guests[:1] if equal else stand.guests, own.rounds)
                if equal:
                    start_time.among_loaded(stand, own.loaded_rounds, own.load_share, own.load_least)
