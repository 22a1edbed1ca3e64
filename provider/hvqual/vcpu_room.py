# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests with room for more vCPUs than they start with."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Callable

from provider.hvqual.host_config import Shape

WHOLE = 100


def growing(plug: int, most: int = 0, share: int = WHOLE) -> Callable[[Shape], Shape]:
    """
    Return what gives a VM room for *plug* vCPUs more, or for *most* in all when that is more.

    They and its others have *share* percent of the node's CPUs, the last ones, but not less than one; a pinned VM keeps its pins.
    """
    node = sorted(os.sched_getaffinity(0))
    place = tuple(node[-max(1, len(node) * share // WHOLE) :]) if share < WHOLE else ()

    def grown(shape: Shape) -> Shape:
        growth = replace(shape.growth, max_vcpus=max(shape.vcpus + plug, most))
        return replace(shape, growth=growth, tuning=replace(shape.tuning, vcpu_cpus=place))

    return grown
