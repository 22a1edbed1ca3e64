# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the time went: each second once, none lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avocado_hvqual.model.observation import Step
from avocado_hvqual.reports.spent import account, by_operation, spent
from tests.reports import busy
from tests.strategies import attempt, judged, record, trace

spans = st.tuples(st.integers(0, 20), st.integers(0, 20)).map(sorted)
steps = st.lists(
    st.builds(
        lambda name, vm, span: Step(name, vm, *span), st.sampled_from("abc"), st.sampled_from(["v", None]), spans
    ),
    max_size=8,
)


def stepped(*made, seconds=0.0):
    own = trace(steps=tuple(made), mono=0.0, mono_last=20.0)
    return judged(record(attempt(trace=own, time=seconds))).results[0]


@given(steps)
def test_the_parts_are_the_whole(made):
    found = spent(stepped(*made))
    assert sum(took for _name, took in found.operations) + found.harness == pytest.approx(20.0)
    assert found.harness == sum(not any(one.begin <= at < one.end for one in made) for at in range(20))


@given(steps)
def test_no_operation_has_more_seconds_than_it_ran(made):
    for name, took in by_operation(trace(steps=tuple(made), mono_last=20.0)).items():
        ran = sum(any(one.begin <= at < one.end for one in made if one.name == name) for at in range(20))
        assert took <= ran


def test_guests_that_start_together_take_the_time_of_the_slowest():
    both = [Step("start", "v1", 1.0, 4.0), Step("start", "v2", 1.0, 6.0)]
    assert by_operation(trace(steps=tuple(both), mono_last=9.0)) == {"start": 5.0}


def test_a_step_within_another_has_its_seconds():
    both = (Step("walk", None, 0.0, 10.0), Step("save", "v1", 2.0, 5.0))
    assert by_operation(trace(steps=both, mono_last=10.0)) == {"walk": 7.0, "save": 3.0}


def test_a_step_that_did_not_end_lasts_to_the_last_sign():
    assert by_operation(trace(steps=(Step("start", "v1", 1.0, None),), mono_last=9.0)) == {"start": 8.0}


def test_what_the_framework_took_is_harness():
    assert spent(stepped(Step("start", "v", 0.0, 5.0), seconds=30.0)).harness == 25.0


def test_a_case_counts_with_all_its_tries():
    one = trace(steps=(Step("start", "v", 0.0, 5.0),), mono_last=6.0)
    found = spent(judged(record(attempt(trace=one, time=7.0), attempt(trace=one, time=8.0))).results[0])
    assert (found.seconds, found.boot, found.harness) == (15.0, 10.0, 5.0)


def test_the_account_is_sorted_and_adds_up():
    found = account(busy.busy())
    assert [one.seconds for one in found.cases] == sorted((one.seconds for one in found.cases), reverse=True)
    assert found.total.seconds == pytest.approx(sum(one.seconds for one in found.cases))
    assert sum(took for _name, took in found.total.operations) + found.total.harness == pytest.approx(
        found.total.seconds
    )
    assert sum(part for _name, part in found.total.parts) == pytest.approx(100)
    whole = busy.busy().ended_wall - busy.BEGAN
    assert found.outside == pytest.approx(whole - found.total.seconds)
