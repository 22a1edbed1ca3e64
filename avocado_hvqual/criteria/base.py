# SPDX-License-Identifier: GPL-2.0-or-later
"""What every criterion is: one number made of all samples, and one sample list that has no number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Callable, NamedTuple

from avocado_hvqual.limits import Limit


class Criterion(NamedTuple):
    """One statistic: how it is called in a sentence, and how a limit is held against finite samples (at least one)."""

    words: str
    number: Callable[[Sequence[float]], float]
    holds: Callable[[Limit, Sequence[float]], bool]


def on_number(words: str, number: Callable[[Sequence[float]], float]) -> Criterion:
    """Return the criterion that compares one number made of all samples."""
    return Criterion(words, number, lambda limit, values: limit.holds(number(values)))
