# SPDX-License-Identifier: GPL-2.0-or-later
"""The limit grammar: closed, and "at least as strict" never said of what is not."""

import pytest
from hypothesis import given

from avocado_hvqual.criteria import ask
from avocado_hvqual.errors import DefinitionError
from avocado_hvqual.limits import Limit
from avocado_hvqual.model.answer import Answer
from tests import strategies as make


@pytest.mark.parametrize(
    "text",
    [
        "",
        "10 s",
        "max 10 s",
        "max <= 10",
        "max =< 10 s",
        "max != 10 s",
        "most <= 10 s",
        "max <= ten s",
        "max <= nan s",
        "max <= inf s",
        "max <= 1e999 s",
        "max <= 1_0 s",
        "max <= 10 s over",
        "max <= 10 s over 0",
        "max <= 10 s over -1",
        "max <= 10 s over 3 4",
        "max <= 10 s # a comment",
        "max <= 10 s\nmin >= 1 s",
    ],
)
def test_what_is_no_limit_is_refused(text):
    with pytest.raises(DefinitionError):
        Limit.parse(text)


@pytest.mark.parametrize(
    "text", ["max <= 10 s", "p99 < 0.25 ms over 20", "all == 1 bool", "sum >= -3 count", "min > 1048576 byte"]
)
def test_a_limit_goes_there_and_back(text):
    assert str(Limit.parse(text)) == text
    assert Limit.parse(f"  {text} ") == Limit.parse(text)


@given(make.limits)
def test_any_limit_goes_there_and_back(limit):
    assert Limit.parse(str(limit)) == limit


@pytest.mark.parametrize(
    ("limit", "floor", "implied"),
    [
        ("max <= 10 s", "max <= 10 s", True),
        ("max <= 10.01 s", "max <= 10 s", False),
        ("max < 10 s", "max <= 10 s", True),
        ("max <= 10 s", "max < 10 s", False),
        ("max <= 8 s", "p99 <= 10 s", True),
        ("p99 <= 8 s", "max <= 10 s", False),
        ("mean <= 1 s", "max <= 10 s", False),
        ("all <= 8 s", "max <= 10 s", True),
        ("max <= 8 s", "all <= 10 s", True),
        ("min >= 3 s", "all >= 2 s", True),
        ("max >= 3 s", "all >= 2 s", False),
        ("max <= 10 ms", "max <= 10 s", False),
        ("max <= 1 s over 2", "max <= 10 s over 3", False),
        ("max <= 1 s over 3", "max <= 10 s over 3", True),
        ("sum == 0 count", "sum <= 0 count", True),
        ("sum <= 0 count", "sum == 0 count", False),
        ("max == 1 bool", "all == 1 bool", False),
        ("all == 1 bool", "max == 1 bool", True),
        ("max >= 1 s", "max <= 10 s", False),
    ],
)
def test_at_least_as_strict(limit, floor, implied):
    assert Limit.parse(limit).implies(Limit.parse(floor)) is implied


@given(make.limits, make.limits, make.samples)
def test_what_meets_a_stricter_limit_meets_the_floor(limit, floor, samples):
    if limit.implies(floor) and ask("x", limit, samples).answer is Answer.MET:
        assert ask("x", floor, samples).answer is Answer.MET


@given(make.limits)
def test_a_limit_is_at_least_as_strict_as_itself(limit):
    assert limit.implies(limit)
