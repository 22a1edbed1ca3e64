# SPDX-License-Identifier: GPL-2.0-or-later
"""How many, as a sentence says it: one finding is, two findings are."""

from __future__ import annotations


def counted(number: int, noun: str, several: str = "") -> str:
    """
    Return ``1 finding``, ``2 findings``; *several* is a plural that ends otherwise.

    >>> counted(1, "try", "tries"), counted(0, "open finding")
    ('1 try', '0 open findings')
    """
    return f"{number} {noun if number == 1 else several or f'{noun}s'}"


def share(part: int, whole: int, noun: str, several: str = "") -> str:
    """
    Return how many of how many; the noun goes by the whole.

    >>> share(0, 1, "case"), share(1, 3, "case")
    ('0 of 1 case', '1 of 3 cases')
    """
    return f"{part} of {counted(whole, noun, several)}"


def agreeing(number: int, one: str, several: str, *, of: int = 0) -> str:
    """
    Return the verb that goes with a number, or with a number *of* a whole: no part of one case is several.

    >>> agreeing(1, "is", "are"), agreeing(0, "was", "were"), agreeing(0, "was", "were", of=1)
    ('is', 'were', 'was')
    """
    return one if 1 in {number, of} else several
