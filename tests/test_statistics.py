# SPDX-License-Identifier: GPL-2.0-or-later
"""Rates and percentiles: published values, simulated coverage, laws, and words that promise no more than the numbers hold."""

import json
import random
import subprocess
import sys

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avocado_hvqual import load, statistics
from avocado_hvqual.reports import REPORTS, bearing, verdict_json
from avocado_hvqual.statistics import needed, percent, percentile, percentile_words, rate, rate_words
from tests import strategies as make

counts = st.integers(1, 400).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials)))


@pytest.mark.parametrize(
    ("failures", "trials", "low", "high"),
    [
        # The rule of three, exactly: 1 - 0.05 ** (1 / n).
        (0, 1, 0.0, 0.95),
        (0, 59, 0.0, 0.0495076),
        (0, 300, 0.0, 0.0099361),
        (0, 1000, 0.0, 0.0029912),
        # Clopper and Pearson's two-sided interval as tables have it.
        (1, 10, 0.0025286, 0.4450161),
        (5, 10, 0.1870860, 0.8129140),
        (1, 100, 0.0002531, 0.0544594),
        (10, 10, 0.6915029, 1.0),
    ],
)
def test_published_intervals_of_a_rate(failures, trials, low, high):
    found = rate(failures, trials)
    assert found.low == pytest.approx(low, abs=5e-6)
    assert found.high == pytest.approx(high, abs=5e-6)


def test_the_operators_sentence():
    assert rate_words(0, 1000, "failed") == "0 of 1000 failed: below 0.3 % at 95 %"
    assert rate_words(3, 1000, "failed") == "3 of 1000 failed: 0.061 % to 0.88 % at 95 %"
    assert rate_words(3, 3, "failed") == "3 of 3 failed: 29 % to 100 % at 95 %"


@pytest.mark.parametrize(("failures", "trials"), [(0, 0), (-1, 3), (4, 3)])
def test_what_is_no_rate_is_refused(failures, trials):
    with pytest.raises(ValueError, match="There is no rate"):
        rate(failures, trials)


@pytest.mark.parametrize(("name", "least"), [("median", 6), ("p95", 72), ("p99", 368)])
def test_so_many_samples_are_needed_and_one_less_says_nothing(name, least):
    assert needed(name) == least
    assert percentile(range(least), name).high == least - 1
    assert percentile(range(least - 1), name).high is None


@pytest.mark.parametrize(
    ("count", "low", "high"), [(6, 1, 6), (9, 2, 8), (15, 4, 12), (20, 6, 15), (25, 8, 18), (100, 40, 61)]
)
def test_published_order_statistics_of_a_median(count, low, high):
    """The sign test's places, as tables of nonparametric statistics have them."""
    assert percentile(range(1, count + 1), "median") == (low, high)


def test_few_samples_say_so():
    values = [float(number) for number in range(12)]
    words = percentile_words(values, {"median": 5.5, "p95": 11.0, "p99": 11.0}, "s")
    assert words == (
        "median 5.5 s (2 to 9 s at 95 %), 12 samples say nothing of p95 (72), p99 (368): so many are needed"
    )


@given(counts)
@settings(deadline=None, max_examples=60)
def test_a_rate_lies_in_its_interval_and_a_failure_never_makes_it_better(pair):
    failures, trials = pair
    found = rate(failures, trials)
    assert found.low <= failures / trials <= found.high
    if failures < trials:
        assert rate(failures + 1, trials).high > found.high
    assert rate(failures, trials + 1).high < found.high or failures == trials


@given(
    st.lists(st.integers(0, 1000).map(float), min_size=1, max_size=120), st.sampled_from(sorted(statistics.PERCENTILES))
)
@settings(deadline=None, max_examples=60)
def test_an_interval_is_made_of_samples_in_order_whatever_theirs(values, name):
    found = percentile(values, name)
    ends = [end for end in found if end is not None]
    assert set(ends) <= set(values)
    assert ends == sorted(ends)
    assert percentile(values[::-1], name) == found


@pytest.mark.parametrize(("name", "count"), [("median", 30), ("p95", 100)])
def test_the_interval_holds_the_true_value_as_often_as_it_says(name, count):
    chance = random.Random(3)
    true = {"median": 0.5, "p95": 0.95}[name]
    held = 0
    for _ in range(600):
        found = percentile([chance.random() for _ in range(count)], name)
        held += found.low <= true <= found.high
    assert held / 600 > 0.93


@given(st.floats(1e-6, 1))
def test_percent_never_promises_more_than_the_bound(part):
    up, down = (float(percent(part, up=up).split()[0]) / 100 for up in (True, False))
    assert down <= part * (1 + 1e-12)
    assert up >= part * (1 - 1e-12)
    assert up - down <= part * 0.11 + 1e-12


def test_scipy_is_not_imported_before_something_is_asked():
    code = "import sys; from avocado_hvqual import judge, load, loader, reports; sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def judged(values, limit="max <= 10 s", attempts=1, **changes):
    planned = make.planned(limits={"guest_ready": limit})
    tries = [make.attempt(trace=make.trace(values=values), line=number, **changes) for number in range(attempts)]
    return make.judged(make.record(*tries, planned=(planned,)))


def claims(qualification):
    return bearing.of(qualification).get(make.START, ())


def test_a_case_tells_what_its_samples_bear_in_every_report():
    values = tuple(1 + number / 100 for number in range(1000))
    found = judged(values, "max <= 20 s")
    (claim,) = claims(found)
    assert (claim.samples, claim.failures, claim.percentiles["p99"]) == (1000, 0, pytest.approx(10.89))
    assert "0 of 1000 beyond 'max <= 20 s': below 0.3 % at 95 %" in claim.sentence
    assert "p99 10.89 s (10.82 to 10.96 s at 95 %)" in claim.sentence
    assert claim.sentence in REPORTS["report.txt"](found)
    assert "below 0.3 % at 95 %" in REPORTS["report.html"](found)
    (case,) = json.loads(verdict_json.render(found))["cases"]
    assert case["statistics"][0]["sentence"] == claim.sentence
    jsonschema.Draft7Validator(load.schema("verdict")).validate(json.loads(verdict_json.render(found)))


def test_samples_beyond_the_limit_are_counted():
    (claim,) = claims(judged((*[2.0] * 9, 11.0)))
    assert claim.failures == 1
    assert "1 of 10 beyond 'max <= 10 s': 0.25 % to 45 % at 95 %" in claim.sentence


@pytest.mark.parametrize("values", [(), (2.0,), (float("nan"), 2.0), ("text", "more")])
def test_what_bears_nothing_tells_nothing(values):
    assert claims(judged(values)) == ()


@pytest.mark.parametrize("limit", ["mean <= 10 s", "sum <= 100 s", "count >= 2 s", "last <= 10 s", "p95 <= 10 s"])
def test_a_limit_that_no_single_sample_breaks_has_no_rate(limit):
    (claim,) = claims(judged((1.0, 2.0, 3.0), limit))
    assert claim.failures is None
    assert "beyond" not in claim.sentence


def test_equal_samples_have_no_percentiles():
    (claim,) = claims(judged((2.0,) * 5))
    assert claim.percentiles == {}


def test_another_unit_is_not_counted():
    assert claims(judged((1.0, 2.0, 3.0), "max <= 10 ms")) == ()


def test_tries_are_told():
    planned = make.planned()
    tries = [make.attempt(line=1), make.attempt(status="FAIL", line=2), make.attempt(status="ERROR", line=3)]
    found = make.judged(make.record(*tries, planned=(planned,)))
    assert [claim.sentence for claim in claims(found)] == ["Tries of the case: 1 of 2 failed: 1.2 % to 99 % at 95 %."]


def test_two_qualifications_have_each_their_own_claims():
    one, other = judged((1.0, 2.0, 3.0)), judged((1.0, 2.0, 3.0, 4.0))
    for _ in range(2):
        assert [claims(one)[0].samples, claims(other)[0].samples] == [3, 4]
