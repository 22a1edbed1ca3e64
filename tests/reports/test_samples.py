# SPDX-License-Identifier: GPL-2.0-or-later
"""The spread of the samples: every one counted, the figures those of the judge, the limit where it is."""

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avocado_hvqual.criteria.percentile import nearest_rank
from avocado_hvqual.reports import REPORTS
from avocado_hvqual.reports.samples import DOTS, STRIPS, spreads
from avocado_hvqual.reports.scale import Scale, seconds
from tests.strategies import START, attempt, judged, planned, record, seen, trace


def spread(samples, limit="max <= 10 s", name="guest_ready"):
    own = trace(observations=tuple(samples))
    case = planned(START, limits={name: limit} if limit else {}, observations=())
    found = spreads(judged(record(attempt(trace=own), planned=(case,))))
    return {one.observation: one for one in found}.get(name)


def of(values, **changes):
    return spread([seen(value) for value in values], **changes)


values = st.lists(st.floats(0.001, 30.0), min_size=1, max_size=150)


@given(values)
def test_the_figures_are_the_judges(found):
    (strip,) = of(found).strips
    assert strip.numbers["median"] == statistics.median(found)
    assert strip.numbers["p95"] == nearest_rank(found, 95)
    assert (strip.numbers["max"], strip.numbers["min"], strip.numbers["count"]) == (max(found), min(found), len(found))


@given(values)
def test_every_sample_is_drawn_or_counted_and_those_over_the_limit_stand_out(found):
    (strip,) = of(found).strips
    beyond = sum(value > 10 for value in found)
    if strip.dots:
        assert len(strip.dots) == len(found)
        assert sum(dot.over for dot in strip.dots) == beyond
    else:
        counts = {over: sum(int(one.text.split()[0]) for one in strip.columns if one.over is over) for over in (0, 1)}
        assert counts == {0: len(found) - beyond, 1: beyond}
    assert all(0 <= place <= 100 for place in (strip.limit_at or 0, *strip.marks.values()))


def test_a_histogram_keeps_apart_what_is_over_the_limit():
    (strip,) = of([9.98] * 50 + [10.02] * 40).strips
    assert [(one.text, one.over) for one in strip.columns] == [
        ("50 from 9.98 to 9.98", False),
        ("40 from 10.02 to 10.02", True),
    ]


def test_each_observation_has_its_own_limit():
    own = trace(observations=(seen(2.0), seen(0.2, "domain_running")))
    limits = {"guest_ready": "max <= 3 s", "domain_running": "max < 1 s"}
    found = spreads(judged(record(attempt(trace=own), planned=(planned(START, limits=limits),))))
    assert [one.strips[0].limits for one in found] == [("max <= 3 s",), ("max < 1 s",)]


def test_yes_and_no_are_not_spread():
    own = trace(observations=tuple(seen(value, "ram_canary", "bool") for value in (True, False, True)))
    case = planned(START, limits={"ram_canary": "all == 1 bool"}, observations=())
    assert spreads(judged(record(attempt(trace=own), planned=(case,)))) == ()


def test_many_samples_become_a_histogram():
    assert len(of([1.0 + number / 50 for number in range(DOTS)]).strips[0].dots) == DOTS
    assert not of([1.0 + number / 50 for number in range(DOTS + 1)]).strips[0].dots
    assert of([2.0] * 9).strips[0].columns[0].text == "9 from 2 to 2"


def test_a_strip_for_each_label_and_one_for_all():
    samples = [seen(1.0 + number)._replace(label=label) for number, label in enumerate(["small", "small", "big", ""])]
    found = spread(samples)
    strips = [(strip.label, strip.numbers["count"], strip.answer and strip.answer.value) for strip in found.strips]
    assert strips == [("", 4, "met"), ("small", 2, None), ("big", 1, None), ("without a label", 1, None)]
    assert [strip.label for strip in spread(samples[:2]).strips] == ["small"]


def test_an_observation_without_limit_is_shown_when_it_is_a_start_time():
    assert of([1.0], limit="").strips[0].limit_at is None
    assert spread([seen(value, "save_time") for value in (1, 2, 3)], limit="", name="save_time") is None


@pytest.mark.parametrize(("found", "shown"), [((1, 2, 3), True), ((1, 2), False), ((2, 2, 2), False)])
def test_another_observation_needs_a_limit_and_samples_that_differ(found, shown):
    samples = [seen(value, "save_time") for value in found]
    assert (spread(samples, limit="max <= 9 s", name="save_time") is not None) is shown


def test_what_is_no_number_is_not_drawn():
    samples = [seen("text"), seen(math.nan), seen(10**400), seen(True, unit="bool"), seen(2.0)]
    assert spread(samples).strips[0].numbers["count"] == 1


def test_two_units_of_one_name_do_not_share_an_axis():
    own = trace(observations=(seen(2.0), seen(2000.0, unit="ms")))
    found = spreads(judged(record(attempt(trace=own))))
    assert [(one.observation, one.unit) for one in found] == [("guest_ready", "ms"), ("guest_ready", "s")]


def test_a_limit_far_away_is_named_and_not_drawn():
    found = of([0.1, 0.2])
    assert (found.strips[0].limit_at, found.far) == (None, ("max <= 10 s",))
    assert of([3.0]).far == ()


@pytest.mark.parametrize("found", [(0.0,), (0.0, 0.0), (-3.0, -1.0), (-1.0, 1.0), (1e-300,), (1e300, 1.0)])
def test_odd_axes_hold(found):
    strip = of(found).strips[0]
    assert all(0 <= place <= 100 for place in strip.marks.values())


def test_of_many_strips_the_slowest_are_drawn_and_the_others_counted():
    keys = [f"libvirt:hvqual.cpu.case{number}:none" for number in range(STRIPS + 5)]
    made = [attempt(key, trace=trace(key, (1.0 + place / 100,))) for place, key in enumerate(keys)]
    qualification = judged(record(*made))
    found = spreads(qualification)[0]
    assert (len(found.strips), found.hidden) == (STRIPS + 5, 5)
    assert [strip.case for strip in found.strips if not strip.drawn] == keys[:5]
    text = REPORTS["report.html"](qualification)
    assert "5 more are not drawn" in text
    assert all(text.count(f'<a href="#case-{key}"') >= 2 for key in keys)


@pytest.mark.parametrize(("low", "high"), [(0, 11), (0, 0), (0, 1e-9), (-5, 5), (0, 1e12), (0, 0.4), (3, 3)])
def test_ticks_are_few_and_within(low, high):
    ticks = Scale(low, high).ticks()
    assert 1 <= len(ticks) <= 7
    assert all(0 <= tick.at <= 100 for tick in ticks)


@pytest.mark.parametrize(
    ("value", "said"), [(0, "0.00 s"), (59.94, "59.9 s"), (59.97, "1 min 0 s"), (3600, "1 h 0 min")]
)
def test_durations_in_words(value, said):
    assert seconds(value) == said
