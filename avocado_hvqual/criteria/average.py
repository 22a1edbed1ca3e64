# SPDX-License-Identifier: GPL-2.0-or-later
"""Mean and median: what is usual. Neither bounds the worst case; a promise needs `max` or a percentile."""

from __future__ import annotations

import statistics

from avocado_hvqual.criteria.base import on_number

MEAN = on_number("the mean", statistics.fmean)
MEDIAN = on_number("the median", statistics.median)
