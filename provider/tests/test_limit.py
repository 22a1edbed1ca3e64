# SPDX-License-Identifier: GPL-2.0-or-later
"""Laws of a limit's answer: nothing, another unit, too few and not finite are unknown; at the limit the comparator decides."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider.hvqual.limit import STATISTICS, Limit

FINITE = st.floats(min_value=-1e9, max_value=1e9)


@pytest.mark.parametrize(
    ("text", "values", "answer"),
    [
        ("max < 10 s", [9.999], "met"),
        ("max < 10 s", [10.0], "unmet"),
        ("max <= 10 s", [10.0], "met"),
        ("max <= 10 s", [1.0, 10.001], "unmet"),
        ("max <= 10 s over 3", [1.0, 1.0], "unknown"),
        ("max <= 10 s over 3", [1.0, 1.0, 1.0], "met"),
        ("mean <= 10 s", [1.0, 21.0], "unmet"),
        ("p95 <= 10 s", [1.0] * 19 + [11.0], "met"),
        ("p99 <= 10 s", [1.0] * 19 + [11.0], "unmet"),
        ("sum == 0 s", [0, 0, 1], "unmet"),
        ("all == 1 s", [True, True], "met"),
        ("all == 1 s", [True, False], "unmet"),
        ("count >= 2 s", [5.0], "unmet"),
        ("max <= 10 s", [], "unknown"),
        ("max <= 10 s", [math.nan], "unknown"),
        ("max <= 10 s", [-math.inf], "unknown"),
        ("max <= 10 s", ["1"], "unknown"),
    ],
)
def test_answer(text, values, answer):
    """Each boundary of each comparator answers as it reads."""
    assert Limit.parse(text).answer([(value, "s") for value in values]) == answer


def test_another_unit_is_unknown():
    """A sample in another unit makes the answer unknown, even beside good ones."""
    assert Limit.parse("max <= 10 s").answer([(1.0, "s"), (1.0, "ms")]) == "unknown"


@pytest.mark.parametrize(
    "text", ["", "10 s", "max 10 s", "max <= ten s", "max <= nan s", "max <= inf s", "best <= 1 s", "max <= 1"]
)
def test_refused(text):
    """A limit that could never say no, or that nobody can read, is refused."""
    with pytest.raises(ValueError, match=r".+"):
        Limit.parse(text)


@given(st.lists(FINITE, min_size=1), FINITE, FINITE, st.sampled_from(sorted(set(STATISTICS) - {"count"})))
def test_tightening_never_helps(values, one, other, statistic):
    """What meets the tighter limit meets the looser one."""
    tight, loose = sorted((one, other))
    samples = [(value, "s") for value in values]
    if Limit.parse(f"{statistic} <= {tight!r} s").answer(samples) == "met":
        assert Limit.parse(f"{statistic} <= {loose!r} s").answer(samples) == "met"
