# SPDX-License-Identifier: GPL-2.0-or-later
"""What a criterion says: met, unmet or unknown, never a bool, because nothing seen is neither good nor bad."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Answer(enum.Enum):
    """The answer of one criterion; the order is from good to bad."""

    MET = "met"
    UNMET = "unmet"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Judgement:
    """One limit asked of one observation: the answer and the sentence with the numbers."""

    observation: str
    limit: str
    answer: Answer
    sentence: str
