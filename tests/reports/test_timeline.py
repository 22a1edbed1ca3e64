# SPDX-License-Identifier: GPL-2.0-or-later
"""Timelines: every bar in its place and none over another; what is left out is counted in words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avocado_hvqual.model.observation import Observation, Problem, Step
from avocado_hvqual.model.record import HealthEvent
from avocado_hvqual.reports import REPORTS, overview, timeline
from avocado_hvqual.reports.timeline import BARS, LANES, MARKS, PAGE_BARS, of_case
from tests.reports import busy
from tests.strategies import START, STOP, attempt, header, judged, record, trace

steps = st.lists(
    st.builds(
        lambda vm, begin, length: Step("start", vm, 100.0 + begin, 100.0 + begin + length),
        st.sampled_from(["hvq-1", "hvq-2", None]),
        st.integers(0, 60),
        st.integers(0, 40),
    ),
    max_size=30,
)


def figure(*made, health=(), **changes):
    own = trace(steps=tuple(made), mono=100.0, mono_last=200.0, wall=5000.0, **changes)
    (result,) = judged(record(attempt(trace=own))).results
    return of_case(result, health)


def lanes(found):
    return {lane.name: lane for lane in found.lanes}


@given(steps)
def test_no_bar_lies_over_another(made):
    for lane in figure(*made).lanes:
        for row in range(lane.rows):
            spans = sorted((bar.at, bar.at + bar.width) for bar in lane.bars if bar.row == row)
            # A bar of no length is drawn a hair wide.
            assert all(end <= begin + 0.16 for (_, end), (begin, _) in zip(spans, spans[1:]))


@given(steps)
def test_every_step_is_drawn_in_the_lane_of_its_vm(made):
    found = figure(*made)
    assert sum(len(lane.bars) for lane in found.lanes) == len(made) == len(found.entries)
    assert {lane.name for lane in found.lanes} == {step.vm or "case" for step in made}


def test_where_a_bar_is():
    (bar,) = lanes(figure(Step("save", "hvq-1", 125.0, 150.0)))["hvq-1"].bars
    assert (bar.at, bar.width, bar.name, bar.tone) == (25.0, 25.0, "save", "")
    assert bar.text == "save, hvq-1: 25.0 s, from 25.0 s"


def test_a_step_that_did_not_end_lasts_to_the_last_sign_and_says_so():
    (bar,) = lanes(figure(Step("save", "hvq-1", 150.0)))["hvq-1"].bars
    assert (bar.at, bar.width, bar.name, bar.tone) == (50.0, 50.0, "save (did not end)", "bad")


def test_trouble_is_marked_where_and_when_it_was():
    problem = Problem("guest-panic", "Oops", "hvq-2", 175.0)
    found = figure(Step("save", "hvq-1", 125.0, 150.0), problems=(problem,))
    (mark,) = lanes(found)["hvq-2"].marks
    assert (mark.at, mark.symbol) == (75.0, "!")
    assert found.entries[-1] == (75.0, "hvq-2", "guest-panic: Oops", None)


def test_the_longest_silence_of_each_vm_is_marked():
    gaps = [
        Observation("heartbeat_gap", value, "s", 190.0, 1, vm) for value, vm in ((0.1, "a"), (0.7, "a"), (0.2, "b"))
    ]
    found = figure(observations=(*gaps, Observation("guest_ready", 3.0, "s", 150.0, 1, "a")))
    assert [entry.what for entry in found.entries] == ["longest heartbeat gap: 0.70 s", "longest heartbeat gap: 0.20 s"]


def test_what_befell_the_node_is_told_as_of_when_it_was_told():
    told = HealthEvent("host-lockup", "soft lockup", "kernel.log", START, 5030.0)
    other = HealthEvent("host-lockup", "of another case", "kernel.log", STOP, 5030.0)
    late = HealthEvent("host-log", "oom", "kernel.log", START, 9000.0)
    found = lanes(figure(Step("hold", None, 110.0, 120.0), health=(told, other, late)))["node"]
    assert [(mark.at, mark.symbol) for mark in found.marks] == [(30.0, "!"), (100.0, "!")]
    assert "told 30.0 s after the case began" in found.marks[0].text


def test_a_case_that_wrote_nothing_has_no_timeline():
    assert of_case(judged(record(attempt(trace=None))).results[0], ()) is None
    assert of_case(judged(record(attempt(trace=trace(mono=5.0, mono_last=5.0)))).results[0], ()) is None


def test_of_many_operations_the_longest_are_drawn_and_the_others_counted():
    made = [Step("start", "hvq-1", 100.0 + place / 10, 100.05 + place / 10 + place / 1e4) for place in range(BARS + 30)]
    found = figure(*made)
    assert sum(len(lane.bars) for lane in found.lanes) == BARS == len(found.entries)
    assert found.cut == "Not drawn, to keep the page light: 30 operations; the record has all."
    assert min(entry.at for entry in found.entries) == pytest.approx(3.0)


def test_of_many_vms_those_with_trouble_are_drawn():
    made = [Step("start", f"hvq-{place}", 101.0, 102.0) for place in range(LANES + 10)]
    found = figure(*made, problems=(Problem("vm-lost", "gone", f"hvq-{LANES + 9}", 150.0),))
    assert len(found.lanes) == LANES
    assert f"hvq-{LANES + 9}" in lanes(found)
    assert "10 lanes, 10 operations" in found.cut


def test_of_many_marks_trouble_comes_first():
    gaps = tuple(Observation("heartbeat_gap", 0.1, "s", 120.0, 1, f"v{place % 20}") for place in range(60))
    many = tuple(Problem("guest-freeze", f"{place}", "v1", 150.0) for place in range(MARKS))
    found = figure(observations=gaps, problems=many)
    assert all(entry.what.startswith("guest-freeze") for entry in found.entries)
    assert "20 marks" in found.cut


def test_the_page_stays_light():
    big = judged(busy.campaign(30, 6))
    text = REPORTS["report.html"](big)
    assert text.count('<rect class="bar ') <= PAGE_BARS + len(big.results)
    assert len(text) < 2_500_000
    assert "to keep the page light" in text


def test_those_that_did_not_pass_are_drawn_before_the_measure_is_full(monkeypatch):
    big = judged(busy.campaign())
    most = 150
    monkeypatch.setattr(timeline, "PAGE_BARS", most)
    text = REPORTS["report.html"](big)
    drawn = text.count('<rect class="bar ')
    assert most < drawn <= most + len(big.results), "the cases' bars, and one a case in the campaign's own figure"
    for result in big.results:
        if result.outcome == "failed":
            place = text.index(f'id="case-{result.case}"')
            assert '<rect class="bar ' in text[place : text.index("</details>", place)]


def test_the_campaign_at_a_glance():
    found = overview.of_campaign(busy.busy())
    assert list(lanes(found)) == ["node", "lifecycle", "cloud"]
    assert sum(len(lane.bars) for lane in found.lanes) == len(busy.keys()) - 1
    assert found.cut == "1 case never began; the tree has all."
    assert all(bar.href.startswith("#case-") for lane in found.lanes for bar in lane.bars)
    assert len(lanes(found)["node"].marks) == 2


def test_a_clock_that_was_set_back_draws_nothing_false():
    record_ = record(attempt(began=5.0), header=header(started=9e8), ended_wall=10.0)
    assert overview.of_campaign(judged(record_)) is None
