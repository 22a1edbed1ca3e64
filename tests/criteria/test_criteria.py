# SPDX-License-Identifier: GPL-2.0-or-later
"""The laws of every criterion: silence is unknown, tightening never helps, order is nothing (but to the last)."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avocado_hvqual.criteria import CRITERIA, ask
from avocado_hvqual.limits import STATISTICS, Limit
from avocado_hvqual.model.answer import Answer
from avocado_hvqual.model.observation import Observation
from tests import strategies as make
from tests.strategies import seen


def answer(text, values, unit="s"):
    return ask("x", Limit.parse(text), [Observation("x", value, unit, 0.0) for value in values]).answer.value


def test_the_registry_is_complete():
    assert tuple(CRITERIA) == STATISTICS


@pytest.mark.parametrize("statistic", STATISTICS)
@pytest.mark.parametrize(
    "values",
    [[], [float("nan")], [1.0, float("inf")], ["1"], [1.0, "x"], [10**400]],
    ids=["none", "nan", "inf", "text", "mixed", "huge"],
)
def test_silence_and_nonsense_are_unknown(statistic, values):
    assert answer(f"{statistic} <= 1000000 s", values) == "unknown"


@pytest.mark.parametrize("statistic", STATISTICS)
def test_another_unit_is_unknown_also_when_one_sample_has_it(statistic):
    assert answer(f"{statistic} <= 1000000 s", [1.0], "ms") == "unknown"
    samples = [seen(1.0), seen(1.0, unit="ms")]
    assert ask("x", Limit.parse(f"{statistic} <= 1000000 s"), samples).answer is Answer.UNKNOWN


@pytest.mark.parametrize("statistic", STATISTICS)
def test_too_few_samples_are_unknown_and_enough_are_not(statistic):
    assert answer(f"{statistic} <= 1000000 s over 3", [1.0, 1.0]) == "unknown"
    assert answer(f"{statistic} <= 1000000 s over 3", [1.0, 1.0, 1.0]) == "met"


@pytest.mark.parametrize(
    ("text", "values", "wanted"),
    [
        ("max <= 10 s", [1.0, 10.0], "met"),
        ("max <= 10 s", [1.0, 10.000001], "unmet"),
        ("max < 10 s", [10.0], "unmet"),
        ("min >= 2 s", [2.0, 5.0], "met"),
        ("min > 2 s", [2.0, 5.0], "unmet"),
        ("mean <= 2 s", [1.0, 3.0], "met"),
        ("mean < 2 s", [1.0, 3.0], "unmet"),
        ("median <= 2 s", [1.0, 2.0, 99.0], "met"),
        ("median <= 2 s", [1.0, 2.0, 3.0, 99.0], "unmet"),
        ("p95 <= 95 s", list(map(float, range(1, 101))), "met"),
        ("p95 <= 94 s", list(map(float, range(1, 101))), "unmet"),
        ("p99 <= 99 s", list(map(float, range(1, 101))), "met"),
        ("p99 <= 98 s", list(map(float, range(1, 101))), "unmet"),
        ("p99 <= 1 s", [1.0, 2.0], "unmet"),
        ("last == 3 s", [9.0, 3.0], "met"),
        ("last == 9 s", [9.0, 3.0], "unmet"),
        ("sum == 0 s", [0.0, 0.0], "met"),
        ("sum == 0 s", [0.0, 1.0], "unmet"),
        ("count == 2 s", [7.0, 8.0], "met"),
        ("count >= 3 s", [7.0, 8.0], "unmet"),
        ("all == 1 s", [True, True], "met"),
        ("all == 1 s", [True, False, True], "unmet"),
        ("sum <= 1 s", [1e308, 1e308], "unknown"),
    ],
)
def test_the_boundary(text, values, wanted):
    assert answer(text, values) == wanted


@given(make.limits, make.samples, st.integers(0, 5))
def test_tightening_never_turns_unmet_into_met(limit, samples, step):
    if limit.comparator == "==":
        return
    tighter = replace(limit, number=limit.number - step if "<" in limit.comparator else limit.number + step)
    if ask("x", limit, samples).answer is Answer.UNMET:
        assert ask("x", tighter, samples).answer is Answer.UNMET


@given(make.limits, make.samples, st.randoms(use_true_random=False))
def test_order_changes_nothing_but_the_last(limit, samples, shuffler: random.Random):
    if limit.statistic == "last":
        return
    shuffled = list(samples)
    shuffler.shuffle(shuffled)
    assert ask("x", limit, shuffled).answer is ask("x", limit, samples).answer


@given(make.limits, make.samples)
def test_asking_for_more_samples_never_answers_more(limit, samples):
    more = replace(limit, over=limit.over + 1)
    assert ask("x", more, samples).answer in {ask("x", limit, samples).answer, Answer.UNKNOWN}


@given(make.limits)
def test_nothing_is_never_met(limit):
    assert ask("x", limit, []).answer is Answer.UNKNOWN


def test_the_sentence_has_the_numbers():
    found = ask("guest_ready", Limit.parse("max <= 10 s"), [seen(2.0), seen(11.25)])
    assert found.sentence == "'guest_ready': the largest of 2 samples is 11.25 s; the limit is 'max <= 10 s'."
