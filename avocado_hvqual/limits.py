# SPDX-License-Identifier: GPL-2.0-or-later
"""
The limit grammar: ``<statistic> <comparator> <number> <unit> [over <n>]``, for instance ``max <= 10 s over 3``.

A limit lives in the cartesian cfg of the case that checks it (decision 1); here it is read, and compared with the weakest that
the policy permits.
"""

from __future__ import annotations

import math
import operator
import re
from dataclasses import dataclass
from typing import Callable

from avocado_hvqual.errors import DefinitionError

STATISTICS = ("max", "min", "mean", "median", "p95", "p99", "last", "sum", "count", "all")
COMPARATORS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    "<": operator.lt,
    ">=": operator.ge,
    ">": operator.gt,
    "==": operator.eq,
}
_GRAMMAR = re.compile(
    r"(?P<statistic>\w+)\s+(?P<comparator><=|>=|==|<|>)\s+(?P<number>\S+)\s+(?P<unit>\S+)(?:\s+over\s+(?P<over>[0-9]+))?\Z"
)
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\Z")

# What else is bounded when a statistic of the same samples is: the maximum bounds everything from above, and so on.
_FROM_ABOVE = {
    "max": {"max", "all", "p99", "p95", "median", "mean", "last", "min"},
    "p99": {"p99", "p95", "median", "min"},
    "p95": {"p95", "median", "min"},
    "median": {"median", "min"},
    "mean": {"mean", "min"},
    "last": {"last", "min"},
    "min": {"min"},
    "sum": {"sum"},
    "count": {"count"},
}
_FROM_BELOW = {
    "min": {"min", "all", "median", "p95", "p99", "mean", "last", "max"},
    "median": {"median", "p95", "p99", "max"},
    "p95": {"p95", "p99", "max"},
    "p99": {"p99", "max"},
    "mean": {"mean", "max"},
    "last": {"last", "max"},
    "max": {"max"},
    "sum": {"sum"},
    "count": {"count"},
}


@dataclass(frozen=True)
class Limit:
    """One closed question to the samples of one observation."""

    statistic: str
    comparator: str
    number: float
    unit: str
    over: int = 1
    """The least number of samples: fewer answer nothing."""

    @classmethod
    def parse(cls, text: str) -> Limit:
        """
        Return the limit that *text* states; DefinitionError says what is wrong with it.

        >>> Limit.parse("max <= 10 s over 3")
        Limit(statistic='max', comparator='<=', number=10.0, unit='s', over=3)
        """
        found = _GRAMMAR.match(text.strip())
        if not found or not _NUMBER.match(found["number"]):
            message = (
                f"The limit '{text}' is not '<statistic> <comparator> <number> <unit> [over <n>]', as 'max <= 10 s'."
            )
            raise DefinitionError(message)
        if found["statistic"] not in STATISTICS:
            message = f"The limit '{text}' asks for '{found['statistic']}', which is none of {', '.join(STATISTICS)}."
            raise DefinitionError(message)
        number, over = float(found["number"]), int(found["over"] or 1)
        if not math.isfinite(number) or over < 1:
            message = f"The limit '{text}' needs a finite number, and at least one sample."
            raise DefinitionError(message)
        return cls(found["statistic"], found["comparator"], number, found["unit"], over)

    def __str__(self) -> str:
        text = f"{self.statistic} {self.comparator} {self.number:.15g} {self.unit}"
        return f"{text} over {self.over}" if self.over > 1 else text

    def holds(self, value: float) -> bool:
        """Whether *value* is on the right side of the limit."""
        return COMPARATORS[self.comparator](value, self.number)

    def implies(self, floor: Limit) -> bool:
        """
        Whether everything that meets this limit meets *floor* too; when that cannot be said, no.

        >>> Limit.parse("max <= 8 s").implies(Limit.parse("p99 <= 10 s"))
        True
        """
        if self.unit != floor.unit or self.over < floor.over:
            return False
        if floor.comparator == "==" and (self.comparator != "==" or self.number != floor.number):
            return False
        return all(self._bounds(floor, bound) for bound in _directions(floor.comparator))

    def _bounds(self, floor: Limit, direction: str) -> bool:
        """Whether this limit bounds the floor's statistic in *direction* at least as tightly as the floor does."""
        if self.comparator not in {direction, f"{direction}=", "=="}:
            return False
        table, own = (_FROM_ABOVE, "max") if direction == "<" else (_FROM_BELOW, "min")
        statistic = own if self.statistic == "all" else self.statistic
        if floor.statistic not in table[statistic]:
            return False
        if self.number == floor.number:
            return "=" in floor.comparator or "=" not in self.comparator
        return COMPARATORS[direction](self.number, floor.number)


def _directions(comparator: str) -> tuple[str, ...]:
    return ("<", ">") if comparator == "==" else (comparator[0],)
