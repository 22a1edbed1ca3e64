# SPDX-License-Identifier: GPL-2.0-or-later
"""The laws of the ledger and the gates over campaigns that nobody would think of, each with its examples at the border beside it."""

import datetime as dt
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from avocado_hvqual.errors import DefinitionError
from avocado_hvqual.journal_kinds import wrong_with
from avocado_hvqual.ledger import Entry, Ledger
from avocado_hvqual.model.answer import Answer
from avocado_hvqual.model.finding import NOT_ATTEMPTED, UNWAIVABLE, FindingKind, Severity, Waiver
from avocado_hvqual.model.record import Gate, Header
from avocado_hvqual.model.verdict import QUALIFYING, Verdict, basis, best_with
from avocado_hvqual.severity import Rule, SeverityTable, Subject
from tests import strategies as make
from tests.strategies import START, STOP, TODAY, attempt, judged, record, trace

QUICK = settings(max_examples=60, deadline=None)
FOREVER = TODAY + dt.timedelta(days=9999)


def told_without_ledger(finding):
    """What a finding is before anybody spoke of it."""
    severity = finding.original or finding.severity
    return replace(
        finding,
        severity=severity,
        original=None,
        entry="",
        bug="",
        fix_target="",
        override_reason="",
        waiver=None,
        notes=(),
    )


@given(make.records(), st.data())
@QUICK
def test_a_waiver_changes_only_its_own_finding(one, data):
    """The finding that has the signature, and none that has not; nothing of it but what the ledger may say."""
    before = judged(one).findings
    assume(before)
    chosen = data.draw(st.sampled_from(before))
    entry = Entry(
        "K",
        "b",
        "o",
        kind=chosen.kind,
        case=chosen.case or "*",
        message=chosen.message,
        waiver_reason="r",
        waiver_expires=FOREVER,
    )
    assume(chosen.message.strip() and not set(chosen.case) & set("[]*?"))
    after = judged(one, ledger=Ledger((entry,))).findings
    assert sorted(map(repr, map(told_without_ledger, after))) == sorted(map(repr, map(told_without_ledger, before)))
    for finding in after:
        own = finding.kind is chosen.kind and finding.fingerprint == chosen.fingerprint and finding.case == chosen.case
        if not own and (chosen.case or finding.kind is not chosen.kind or finding.fingerprint != chosen.fingerprint):
            assert finding in before
        if own:
            waivable = finding.kind not in UNWAIVABLE and finding.kind not in NOT_ATTEMPTED
            assert bool(finding.waiver) is waivable


@given(make.records(), st.sampled_from(list(UNWAIVABLE)), st.sampled_from(["", START]))
@QUICK
def test_what_cannot_be_waived_never_qualifies(one, kind, case):
    event = make.HealthEvent(kind.value, "it went down", "", case)
    entry = Entry(
        "K", "b", "o", pattern=".", severity=Severity.MINOR, severity_reason="r", fix_target="7",
        waiver_reason="r", waiver_expires=FOREVER,
    )  # fmt: skip
    found = judged(replace(one, health=(event,)), ledger=Ledger((entry,)))
    assert found.basis not in QUALIFYING


@given(make.findings())
def test_a_waiver_never_makes_more_of_a_finding_than_minor(found):
    finding = replace(found, waiver=found.waiver or Waiver("K", "r", "o", FOREVER.isoformat()))
    assert best_with(finding).rank <= best_with(replace(finding, waiver=None)).rank
    assert best_with(finding) is not Verdict.QUALIFIED


@given(make.records(), st.text(min_size=1, max_size=20).filter(str.strip))
@QUICK
def test_an_override_never_improves_and_always_caps(one, reason):
    whole = replace(one, header=make.header())
    before, after = (
        judged(whole),
        judged(replace(whole, gates=(Gate("cloud", passed=False, reason="x", override=reason),))),
    )
    assert after.basis.rank >= max(before.basis.rank, Verdict.QUALIFIED_WITH_WAIVERS.rank)
    assert any(reason in said for said in after.reasons)


@given(make.records())
@QUICK
def test_all_eight_exit_criteria_are_answered_with_a_sentence(one):
    found = judged(one)
    assert len({gate.id for gate in found.gates}) == len(found.gates) == 8
    assert all(gate.sentence.strip() and gate.id.startswith("hvqual.gate.") for gate in found.gates)
    if found.basis is Verdict.QUALIFIED and not found.header.selection:
        assert not [gate.id for gate in found.gates if gate.answer is Answer.UNMET]


@given(make.records())
@QUICK
def test_nothing_critical_or_major_is_said_only_of_what_was_attempted(one):
    found = judged(replace(one, header=make.header()))
    answers = {gate.id.rpartition(".")[2]: gate.answer for gate in found.gates}
    before = [finding for finding in found.findings if finding.phase != "cloud"]
    severe = [f for f in before if f.is_open and f.severity is not Severity.MINOR and f.kind not in NOT_ATTEMPTED]
    assert (answers["no_critical_major"] is Answer.UNMET) is bool(severe)
    if answers["no_critical_major"] is Answer.MET:
        assert answers["attempted_hv"] is Answer.MET
        assert not [finding for finding in before if finding.kind in NOT_ATTEMPTED]


@given(make.records())
@QUICK
def test_nothing_observed_never_passes(one):
    silent = tuple(
        replace(tried, trace=replace(tried.trace, observations=()) if tried.trace else None) for tried in one.attempts
    )
    found = judged(replace(one, attempts=silent))
    assert found.basis not in QUALIFYING
    assert not [result for result in found.results if result.outcome == "passed"]


# --- at the border ---


@pytest.mark.parametrize(
    "one",
    [
        attempt(trace=None),
        attempt(trace=trace(values=())),
        attempt(trace=trace(values=(float("nan"),))),
        attempt(trace=trace(values=("2.5",))),
        attempt(trace=trace(observations=(make.seen(name="other"),))),
        attempt(trace=trace(observations=(make.seen(unit="ms"),))),
        attempt(trace=trace(status=None)),
        attempt(trace=trace(digest_before=None)),
        attempt(trace=trace(digest_after=None)),
        attempt(status="WARN"),
        attempt(status=""),
        attempt(status=None, trace=None),
    ],
)
def test_each_way_of_seeing_nothing_is_not_attempted(one):
    found = judged(record(one))
    assert (found.basis, found.attempted) == (Verdict.INCOMPLETE, 0)


@pytest.mark.parametrize(
    ("value", "verdict"), [(10.0, Verdict.QUALIFIED), (10.000001, Verdict.NOT_QUALIFIED), (9.999999, Verdict.QUALIFIED)]
)
def test_the_limit_itself_is_met(value, verdict):
    assert judged(record(attempt(trace=trace(values=(1.0, value))))).verdict is verdict


@pytest.mark.parametrize(
    ("required", "attempted", "verdict"),
    [
        (0, 0, Verdict.INCOMPLETE),
        (1, 0, Verdict.INCOMPLETE),
        (2, 1, Verdict.INCOMPLETE),
        (1, 2, Verdict.INCOMPLETE),
        (2, 2, Verdict.QUALIFIED),
    ],
)
def test_100_percent_of_something(required, attempted, verdict):
    assert basis((), required, attempted) is verdict


def test_a_failure_of_one_try_of_three_stays():
    tries = (attempt(), attempt(status="FAIL", line=11), attempt(line=12))
    found = judged(record(*tries))
    assert (found.verdict, found.findings[0].seen, found.findings[0].attempts) == (Verdict.NOT_QUALIFIED, 1, 3)


def test_the_judge_does_not_change_what_it_is_given():
    one, entry = record(attempt(status="FAIL"), attempt(STOP)), Entry("K", "b", "o", pattern=".")
    before = repr((one, entry, make.POLICY))
    judged(one, ledger=Ledger((entry,)))
    assert repr((one, entry, make.POLICY)) == before


# --- there and back ---


def test_a_header_goes_there_and_back():
    head = make.header()
    names = ("id", "profile", "selection", "lab", "node", "command", "versions")
    line = {name: getattr(head, name) for name in names}
    assert wrong_with("campaign", line) == []
    assert Header.from_json(line, head.started) == head


rules = st.builds(
    Rule,
    id=st.uuids().map(str),
    severity=st.sampled_from(Severity),
    kinds=st.sets(st.sampled_from([FindingKind.ERROR, FindingKind.LEFTOVER, FindingKind.WRONG_TEXT]), max_size=2).map(
        frozenset
    ),
    phase=st.sampled_from(["", "", "preparation", "hypervisor", "cloud"]),
    category=st.sampled_from(["", "", "cpu", "disk"]),
    id_pattern=st.sampled_from(["", "", "hvqual.cpu.*", "hvqual.cpu.pin", "hvqual.*"]),
    message=st.sampled_from(["", "", "x"]),
)
PLACES = [
    ("", "", ""),
    *(
        (use, use.split(".")[1], phase)
        for use in ("hvqual.cpu.pin", "hvqual.cpu.x", "hvqual.disk.x", "hvqual.a.b")
        for phase in ("preparation", "hypervisor", "cloud")
    ),
]
SUBJECTS = [
    Subject(kind, f"libvirt:{use}:none" if use else "", category, phase, "", message)
    for kind in FindingKind
    for use, category, phase in PLACES
    for message in ("x", "y")
]


@given(st.lists(rules, max_size=5))
@settings(max_examples=200, deadline=None)
def test_a_table_is_refused_exactly_when_a_row_or_a_kind_that_it_names_can_never_match(drawn):
    """Asked of every finding there could be, not of the rows' conditions."""
    rows = (*drawn, Rule("unclassified", Severity.MAJOR))
    decided = {
        (row.id, subject.kind) for subject in SUBJECTS for row in [next(row for row in rows if row.matches(subject))]
    }
    dead = [row.id for row in drawn for kind in row.kinds or () if (row.id, kind) not in decided]
    dead += [row.id for row in drawn if row.id not in {identifier for identifier, _kind in decided}]
    try:
        SeverityTable(rows)
    except DefinitionError:
        takes_everything = [row for row in drawn if not row.kinds and not any(row.conditions)]
        assert dead or takes_everything
        return
    # A row whose conditions exclude each other (a category and another category's use case) matches nothing by itself.
    alone = {row.id for row in drawn if any(row.matches(subject) for subject in SUBJECTS)}
    assert not [identifier for identifier in dead if identifier in alone]
