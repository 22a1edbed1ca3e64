# SPDX-License-Identifier: GPL-2.0-or-later
"""
A limit on an observation, as a case's cfg states it.

``hv_limit_<observation> = <statistic> <comparator> <number> <unit> [over <n>]``, for instance ``max <= 10 s over 3``.
The judge recomputes every answer from the observations; this one lets a case fail by itself under plain ``avocado run``.
"""

from __future__ import annotations

import math
import operator
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Callable, Union

Value = Union[float, int, str, bool]
Sample = tuple[Value, str]

STATISTICS: dict[str, Callable[[Sequence[float]], float]] = {
    "max": max,
    "min": min,
    "mean": statistics.fmean,
    "median": statistics.median,
    "p95": lambda values: _percentile(values, 95),
    "p99": lambda values: _percentile(values, 99),
    "last": lambda values: values[-1],
    "sum": math.fsum,
    "count": len,
}
COMPARATORS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    "<": operator.lt,
    ">=": operator.ge,
    ">": operator.gt,
    "==": operator.eq,
}
GRAMMAR = re.compile(
    r"^(?P<statistic>\w+)\s+(?P<comparator><=|>=|==|<|>)\s+(?P<number>\S+)\s+(?P<unit>\S+)(?:\s+over\s+(?P<over>\d+))?$",
)


def _percentile(values: Sequence[float], percent: int) -> float:
    """Return the smallest sample that *percent* of the samples do not exceed (nearest rank: never below what was seen)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


@dataclass(frozen=True)
class Limit:
    """One closed question to the samples of one observation."""

    text: str
    statistic: str
    comparator: str
    number: float
    unit: str
    over: int

    @classmethod
    def parse(cls, text: str) -> Limit:
        """Return the limit that *text* states; ValueError says what is wrong with it."""
        found = GRAMMAR.match(text.strip())
        if not found:
            message = f"'{text}' is not '<statistic> <comparator> <number> <unit> [over <n>]'"
            raise ValueError(message)
        if found["statistic"] not in {*STATISTICS, "all"}:
            message = f"'{text}' asks for '{found['statistic']}', which is none of {', '.join([*STATISTICS, 'all'])}"
            raise ValueError(message)
        number = float(found["number"])
        if not math.isfinite(number):
            message = f"'{text}' holds a limit that is not a finite number"
            raise ValueError(message)
        return cls(text, found["statistic"], found["comparator"], number, found["unit"], int(found["over"] or 1))

    def answer(self, samples: Sequence[Sample]) -> str:
        """Return 'met', 'unmet' or 'unknown' (nothing seen, another unit, no finite number, too few samples)."""
        values = [float(value) for value, unit in samples if unit == self.unit and not isinstance(value, str)]
        if len(values) != len(samples) or len(values) < max(1, self.over) or not all(map(math.isfinite, values)):
            return "unknown"
        compare = COMPARATORS[self.comparator]
        if self.statistic == "all":
            return "met" if all(compare(value, self.number) for value in values) else "unmet"
        return "met" if compare(float(STATISTICS[self.statistic](values)), self.number) else "unmet"
