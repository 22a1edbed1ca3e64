# SPDX-License-Identifier: GPL-2.0-or-later
"""Percentiles by nearest rank: always a value that was seen, never below it; of few samples it is the largest."""

from __future__ import annotations

import math
from collections.abc import Sequence

from avocado_hvqual.criteria.base import on_number


def nearest_rank(values: Sequence[float], percent: int) -> float:
    """
    Return the smallest sample that at least *percent* of the samples do not exceed.

    >>> nearest_rank([4.0, 1.0, 3.0, 2.0], 50)
    2.0
    """
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


P95 = on_number("the 95th percentile", lambda values: nearest_rank(values, 95))
P99 = on_number("the 99th percentile", lambda values: nearest_rank(values, 99))
