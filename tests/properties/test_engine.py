# SPDX-License-Identifier: GPL-2.0-or-later
"""The laws of the engine, over campaigns that nobody would think of."""

import datetime as dt
import json
from dataclasses import replace

import jsonschema
from hypothesis import given, settings
from hypothesis import strategies as st

from avocado_hvqual import exit_codes, load
from avocado_hvqual.ledger import Entry, Ledger
from avocado_hvqual.model.answer import Answer
from avocado_hvqual.model.case import CaseKey
from avocado_hvqual.model.finding import normalise
from avocado_hvqual.model.plan import Plan, PlannedCase
from avocado_hvqual.model.record import HealthEvent
from avocado_hvqual.model.verdict import QUALIFYING, Verdict, basis, fold
from avocado_hvqual.reports import REPORTS
from tests import strategies as make
from tests.strategies import START, TODAY, judged

VALIDATOR = jsonschema.Draft7Validator(load.schema("verdict"))
QUICK = settings(max_examples=60, deadline=None)
ledgers = st.lists(
    st.builds(
        Entry,
        id=st.uuids().map(str),
        bug=st.just("https://bugs.example/1"),
        owner=st.just("ops"),
        pattern=st.sampled_from([".", "said", "interrupted", "guest_ready", "nothing like it"]),
        fix_target=st.sampled_from(["", "7.3"]),
        waiver_reason=st.just("r"),
        waiver_expires=st.sampled_from([None, TODAY - dt.timedelta(days=1), TODAY, TODAY + dt.timedelta(days=99)]),
    ),
    max_size=3,
).map(lambda entries: Ledger(tuple(entries)))


@given(st.lists(make.findings(), max_size=5), make.findings(), st.integers(0, 3), st.integers(0, 3))
def test_adding_a_finding_never_improves_the_verdict(found, more, required, attempted):
    assert basis([*found, more], required, attempted).rank >= basis(found, required, attempted).rank


@given(st.lists(make.findings(), max_size=5), st.integers(0, 3), st.integers(0, 3), st.booleans(), st.booleans())
def test_the_fold_is_total_and_qualifies_only_the_complete(found, required, attempted, selection, lab):
    amount = basis(found, required, attempted)
    verdict = fold(amount, selection=selection, lab=lab)
    if verdict in QUALIFYING:
        assert required == attempted > 0
        assert not selection
        assert not lab
        assert not [one for one in found if one.is_open and one.severity.value != "minor"]
    assert (verdict is Verdict.SELECTION) is selection


@given(make.records())
@QUICK
def test_the_judge_never_raises_and_every_report_can_tell_it(record):
    found = judged(record)
    texts = {name: render(found) for name, render in REPORTS.items()}
    VALIDATOR.validate(json.loads(texts["verdict.json"]))
    assert exit_codes.status(found) == (0 if found.verdict is Verdict.QUALIFIED else exit_codes.of(found))


@given(make.records(), ledgers)
@QUICK
def test_the_judge_is_pure(record, ledger):
    assert judged(record, ledger=ledger) == judged(record, ledger=ledger)


@given(make.records())
@QUICK
def test_qualified_is_all_met_and_something_seen(record):
    found = judged(record)
    if found.basis in QUALIFYING:
        assert found.required == found.attempted > 0
        for result in found.results:
            assert result.judgements
            assert all(judgement.answer is Answer.MET for judgement in result.judgements) or result.outcome == "failed"


@given(make.records(), make.events)
@QUICK
def test_an_event_of_the_host_never_improves_the_verdict(record, event):
    more = replace(record, health=(*record.health, event))
    assert judged(more).basis.rank >= judged(record).basis.rank
    assert not judged(more).clean


@given(make.records(), st.sampled_from(["FAIL", "ERROR", "CANCEL", None]))
@QUICK
def test_a_further_bad_try_never_improves_the_verdict(record, status):
    more = replace(record, attempts=(*record.attempts, make.attempt(START, status)))
    before, after = judged(record), judged(more)
    # A failure of a case that was never tried is more than nothing: it was attempted, and the node did wrong.
    if before.basis is not Verdict.INCOMPLETE:
        assert after.basis.rank >= before.basis.rank
    assert not after.clean


@given(make.records())
@QUICK
def test_taking_away_what_was_seen_never_qualifies(record):
    """Whatever is gone from a campaign, the verdict is none that lets a node join."""
    silent = replace(
        record,
        attempts=tuple(replace(one, trace=replace(one.trace, observations=())) for one in record.attempts if one.trace),
    )
    assert judged(silent).basis not in QUALIFYING
    assert judged(replace(record, attempts=())).basis is Verdict.INCOMPLETE
    assert judged(replace(record, known=frozenset(), doubts=())).basis not in QUALIFYING or not record.attempts


@given(make.records(), ledgers)
@QUICK
def test_a_ledger_removes_no_finding_and_completes_nothing(record, ledger):
    without, with_it = judged(record), judged(record, ledger=ledger)
    assert sorted(one.message for one in with_it.findings) == sorted(one.message for one in without.findings)
    assert (with_it.attempted, with_it.required) == (without.attempted, without.required)
    if without.basis is Verdict.INCOMPLETE:
        assert with_it.basis is Verdict.INCOMPLETE


@given(make.records(), ledgers)
@QUICK
def test_an_expired_ledger_waives_nothing(record, ledger):
    late = judged(record, ledger=ledger, today=TODAY + dt.timedelta(days=1000))
    assert all(one.is_open for one in late.findings)
    assert late.basis.rank >= judged(record, ledger=ledger).basis.rank


@given(make.records(), st.text(max_size=60))
@QUICK
def test_whatever_a_guest_calls_itself_no_report_breaks(record, name):
    told = replace(record, health=(HealthEvent("guest-panic", name, name, START),), notes=(name,))
    for render in REPORTS.values():
        render(judged(told)).encode("utf-8", "replace")


@given(st.text(max_size=80))
def test_normalising_twice_is_normalising_once(text):
    assert normalise(normalise(text)) == normalise(text)


@given(
    st.sampled_from(["none", "single_big", "n_equal", "patterns"]),
    st.lists(st.from_regex(r"\A[a-z]{1,5}=[a-z0-9]{1,5}\Z"), max_size=3),
)
def test_a_case_key_goes_there_and_back(configuration, axes):
    key = CaseKey("libvirt", "hvqual.disk.x", configuration, tuple(axes))
    assert CaseKey.parse(str(key)) == key


@given(st.lists(st.sampled_from([make.START, make.STOP, make.CLOUD]), unique=True), st.floats(1, 1e6))
def test_a_plan_goes_there_and_back(keys, timeout):
    cases: tuple[PlannedCase, ...] = tuple(make.planned(key, timeout=timeout) for key in keys)
    plan = Plan("lab", cases, tuple(make.row(key) for key in keys))
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan
