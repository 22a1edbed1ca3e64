# SPDX-License-Identifier: GPL-2.0-or-later
"""
How much a number of samples can bear: failure rates and percentiles with their intervals, at 95 %.

SciPy's procedures, not formulas of our own: Clopper and Pearson's exact interval for a rate (`scipy.stats.binomtest`), order statistics
for a percentile (`scipy.stats.quantile_test`), neither of which supposes a distribution. SciPy is imported when something is asked, and
each answer is kept: what a percentile's interval is depends on the number of samples alone.

A rate without a failure has an upper bound at 95 % (one-sided); a rate with failures and a percentile have an interval (two-sided).
"""

from __future__ import annotations

import decimal
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple, Optional

from avocado_hvqual.wording import agreeing, counted

CONFIDENCE = 0.95
AT = "at 95 %"
PERCENTILES = {"median": 0.5, "p95": 0.95, "p99": 0.99}
DIGITS = 2


class Interval(NamedTuple):
    """From where to where the true value lies at 95 %; None where so few samples say nothing."""

    low: Optional[float]
    high: Optional[float]


@cache
def rate(failures: int, trials: int) -> Interval:
    """
    Return the interval of the rate of which *trials* independent tries with *failures* failures were seen.

    >>> rate(0, 1000).high < 0.003
    True
    """
    from scipy import stats

    if trials < 1 or not 0 <= failures <= trials:
        message = f"There is no rate of {failures} failures in {trials} tries."
        raise ValueError(message)
    side = "two-sided" if failures else "less"
    found = stats.binomtest(failures, trials, alternative=side).proportion_ci(CONFIDENCE, method="exact")
    return Interval(float(found.low), float(found.high))


@cache
def _ranks(count: int, part: float) -> tuple[Optional[int], Optional[int]]:
    """Return the places (from 1) of the sorted samples between which a quantile lies; None for an end that no sample bounds."""
    import math

    from scipy import stats

    places = range(1, count + 1)
    found = stats.quantile_test(list(places), q=0, p=part).confidence_interval(CONFIDENCE)
    low, high = (None if math.isnan(value) else int(value) for value in (found.low, found.high))
    return low, high


def percentile(values: Sequence[float], name: str) -> Interval:
    """
    Return the interval of a percentile by order statistics: both ends are samples that were seen.

    >>> percentile(range(100), "median")
    Interval(low=39.0, high=60.0)
    """
    low, high = _ranks(len(values), PERCENTILES[name])
    ordered = sorted(values)
    ends = (None if place is None else float(ordered[place - 1]) for place in (low, high))
    return Interval(*ends)


@cache
def needed(name: str) -> int:
    """
    Return the least number of samples that bound a percentile from above.

    >>> needed("p99")
    368
    """
    from scipy import stats

    beyond = 1 - PERCENTILES[name]
    # So many tries until one lies beyond the percentile: at this confidence at least one does.
    return int(stats.geom.ppf(1 - (1 - CONFIDENCE) / 2, round(beyond, 9)))


def percent(part: float, *, up: bool) -> str:
    """
    Return a part as percent to two digits, rounded away from what it bounds.

    >>> percent(0.002991, up=True)
    '0.3 %'
    """
    value = decimal.Decimal(repr(part)) * 100
    if not value:
        return "0 %"
    step = decimal.Decimal(1).scaleb(value.adjusted() - DIGITS + 1)
    rounding = decimal.ROUND_CEILING if up else decimal.ROUND_FLOOR
    return f"{value.quantize(step, rounding=rounding).normalize():f} %"


def rate_words(failures: int, trials: int, what: str) -> str:
    """
    Return what so many tries say of a rate.

    >>> rate_words(0, 1000, "failed")
    '0 of 1000 failed: below 0.3 % at 95 %'
    """
    found = rate(failures, trials)
    low, high = percent(found.low or 0.0, up=False), percent(found.high or 0.0, up=True)
    bounds = f"{low} to {high}" if failures else f"below {high}"
    return f"{failures} of {trials} {what}: {bounds} {AT}"


def percentile_words(values: Sequence[float], numbers: dict[str, float], unit: str) -> str:
    """Return what the samples say of each percentile, whose own value *numbers* has; and of which they say nothing."""
    told, silent = [], []
    for name in PERCENTILES:
        found = percentile(values, name)
        if found.high is None or found.low is None:
            silent.append(f"{name} ({needed(name)})")
        else:
            told.append(f"{name} {numbers[name]:.4g} {unit} ({found.low:.4g} to {found.high:.4g} {unit} {AT})")
    if silent:
        say = agreeing(len(values), "says", "say")
        told.append(f"{counted(len(values), 'sample')} {say} nothing of {', '.join(silent)}: so many are needed")
    return ", ".join(told)
