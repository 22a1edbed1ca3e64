# SPDX-License-Identifier: GPL-2.0-or-later
"""
Criteria: what a limit says of the samples of one observation. Pure; three answers, never a bool.

Nothing seen, another unit, a text, a value that is not finite, fewer samples than asked for: *unknown*, never met.
To add a statistic: one file here, one line in CRITERIA, its name in `limits.STATISTICS`, and the same in the provider's limits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Optional

from avocado_hvqual.criteria.average import MEAN, MEDIAN
from avocado_hvqual.criteria.base import Criterion
from avocado_hvqual.criteria.every import ALL
from avocado_hvqual.criteria.extreme import MAX, MIN
from avocado_hvqual.criteria.last import LAST
from avocado_hvqual.criteria.percentile import P95, P99
from avocado_hvqual.criteria.total import COUNT, SUM
from avocado_hvqual.limits import Limit
from avocado_hvqual.model.answer import Answer, Judgement
from avocado_hvqual.model.observation import Observation
from avocado_hvqual.wording import agreeing, counted, share

# Written out, not discovered: this is the list of all there are.
CRITERIA: dict[str, Criterion] = {
    "max": MAX,
    "min": MIN,
    "mean": MEAN,
    "median": MEDIAN,
    "p95": P95,
    "p99": P99,
    "last": LAST,
    "sum": SUM,
    "count": COUNT,
    "all": ALL,
}


def _number(sample: Observation) -> Optional[float]:
    """Return the sample as a finite number (true is 1, false 0), or None."""
    if isinstance(sample.value, str):
        return None
    try:
        value = float(sample.value)
    except OverflowError:
        return None
    return value if math.isfinite(value) else None


def ask(observation: str, limit: Limit, samples: Sequence[Observation]) -> Judgement:
    """
    Return what *limit* says of all *samples* of one observation.

    More samples of the same values never turn unmet into met, and the order matters to `last` alone.
    """
    numbers = [number for number in map(_number, samples) if number is not None]
    doubt = _doubt(limit, samples, numbers)
    if doubt:
        sentence = f"'{observation}' is not answered: {doubt}, and '{limit}' was asked."
        return Judgement(observation, str(limit), Answer.UNKNOWN, sentence)
    criterion = CRITERIA[limit.statistic]
    try:
        met = criterion.holds(limit, numbers)
    except OverflowError:
        sentence = f"'{observation}' is not answered: its samples have no finite {limit.statistic}."
        return Judgement(observation, str(limit), Answer.UNKNOWN, sentence)
    answer = Answer.MET if met else Answer.UNMET
    sentence = f"'{observation}': {_numbers(limit, criterion, numbers)}; the limit is '{limit}'."
    return Judgement(observation, str(limit), answer, sentence)


def _doubt(limit: Limit, samples: Sequence[Observation], numbers: Sequence[float]) -> str:
    """Return why the samples answer nothing, or an empty text."""
    units = sorted({sample.unit for sample in samples} - {limit.unit})
    if not samples:
        return "nothing was seen"
    if units:
        return f"it was seen in '{', '.join(units)}'"
    if len(numbers) < len(samples):
        bad = len(samples) - len(numbers)
        return f"{share(bad, len(samples), 'sample')} {agreeing(bad, 'is', 'are', of=len(samples))} no finite number"
    if len(numbers) < limit.over:
        return (
            f"{len(numbers)} of at least {counted(limit.over, 'sample')} {agreeing(len(numbers), 'was', 'were')} seen"
        )
    return ""


def _numbers(limit: Limit, criterion: Criterion, numbers: Sequence[float]) -> str:
    """Return the numbers that decide, as a part of a sentence."""
    count = f"of {counted(len(numbers), 'sample')}"
    if limit.statistic != "all":
        return f"{criterion.words} {count} is {criterion.number(numbers):.6g} {limit.unit}"
    wrong = [number for number in numbers if not limit.holds(number)]
    first = f", the first {wrong[0]:.6g} {limit.unit}" if wrong else ""
    good = len(numbers) - len(wrong)
    return f"{good} {count} {agreeing(good, 'is', 'are', of=len(numbers))} as required{first}"
