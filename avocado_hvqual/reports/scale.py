# SPDX-License-Identifier: GPL-2.0-or-later
"""A horizontal axis: where a value stands, in percent of the width, and which round values are written along it."""

from __future__ import annotations

import math
from typing import NamedTuple


class Tick(NamedTuple):
    """One round value, and where it stands."""

    at: float
    text: str


class Scale(NamedTuple):
    """From *low* to *high*; a value outside stands at the nearer end."""

    low: float
    high: float

    def at(self, value: float) -> float:
        """Return the place of *value* in percent, to a hundredth."""
        whole = self.high - self.low
        part = (value - self.low) / whole if whole > 0 else 0.0
        return round(100 * min(1.0, max(0.0, part)), 2)

    def ticks(self, about: int = 4) -> tuple[Tick, ...]:
        """
        Return round values, at most *about* and two more.

        >>> [tick.text for tick in Scale(0, 11).ticks()]
        ['0', '5', '10']
        """
        whole = self.high - self.low
        if not whole > 0:
            return (Tick(0.0, f"{self.low:.6g}"),)
        rough = whole / about
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
        first = math.ceil(self.low / step)
        values = [number * step for number in range(first, math.floor(self.high / step) + 1)]
        return tuple(Tick(self.at(value), f"{value:.6g}") for value in values)


def seconds(value: float) -> str:
    """
    Return a duration as people say it.

    >>> seconds(0.1234), seconds(75.0), seconds(7300)
    ('0.12 s', '1 min 15 s', '2 h 1 min')
    """
    if value < 59.95:  # noqa: PLR2004 - less than a minute, also when rounded
        return f"{value:.2f} s" if value < 1 else f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:  # noqa: PLR2004
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
