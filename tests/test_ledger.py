# SPDX-License-Identifier: GPL-2.0-or-later
"""The ledger: a waiver changes its own finding alone, until it expires, and nothing is ever removed."""

import datetime as dt
from dataclasses import replace

import pytest

from avocado_hvqual.ledger import Entry, Ledger, Scope, Setting, apply
from avocado_hvqual.model.finding import NOT_ATTEMPTED, UNWAIVABLE, FindingKind, Severity
from avocado_hvqual.model.observation import Problem
from avocado_hvqual.model.verdict import Verdict
from tests.strategies import CLOUD, POLICY, START, STOP, TODAY, attempt, judged, record, trace

KNOWN = Entry("K-1", "https://bugs.example/1", "ops", message="VM hvq-1-a stuck for 3 s", where="issues.yaml:2")
WAIVED = replace(KNOWN, waiver_reason="harmless here", waiver_expires=TODAY)


def campaign(kind="wrong-result", message="VM hvq-9f-2 stuck for 17.5 s", key=START):
    return record(attempt(key, trace=trace(key, problems=(Problem(kind, message),))))


def by(entry, made=None):
    return judged(made or campaign(), ledger=Ledger((entry,)))


def test_a_known_issue_alone_closes_nothing():
    found = by(KNOWN)
    assert (found.verdict, found.findings[0].bug) == (Verdict.NOT_QUALIFIED, KNOWN.bug)


def test_a_waiver_counts_on_its_last_day_and_is_told_apart():
    found = by(WAIVED)
    assert (found.verdict, found.clean) == (Verdict.QUALIFIED_WITH_WAIVERS, True)
    assert found.findings[0].message == "VM hvq-9f-2 stuck for 17.5 s"
    assert "expires on 2026-11-21" in found.findings[0].notes[0]


def test_a_waiver_no_longer_counts_the_day_after():
    found = by(replace(WAIVED, waiver_expires=TODAY - dt.timedelta(days=1)))
    assert found.verdict is Verdict.NOT_QUALIFIED
    assert "expired on 2026-11-20" in found.findings[0].notes[0]


@pytest.mark.parametrize(("days", "told"), [(14, True), (15, False)])
def test_the_end_of_a_waiver_is_announced(days, told):
    notes = by(replace(WAIVED, waiver_expires=TODAY + dt.timedelta(days=days))).findings[0].notes
    assert bool(notes) is told


@pytest.mark.parametrize(
    "entry",
    [
        replace(WAIVED, message="VM hvq-1-a stuck for 3 minutes"),
        replace(WAIVED, case="libvirt:hvqual.disk.*"),
        replace(WAIVED, kind=FindingKind.LEFTOVER),
        replace(WAIVED, message="", pattern="unstuck"),
        replace(WAIVED, message="", case="*"),
        replace(WAIVED, message="stuck"),
    ],
)
def test_another_signature_is_another_issue_and_the_entry_stale(entry):
    found = by(entry)
    assert found.verdict is Verdict.NOT_QUALIFIED
    assert "'K-1' (issues.yaml:2) matched no finding" in found.stale[0]


@pytest.mark.parametrize(
    "entry",
    [
        replace(WAIVED, case="libvirt:hvqual.lifecycle.*"),
        replace(WAIVED, kind=FindingKind.WRONG_RESULT),
        replace(WAIVED, message="", pattern=r"stuck for \d"),
    ],
)
def test_the_same_signature_is_the_same_issue(entry):
    found = by(entry)
    assert (found.verdict, found.stale) == (Verdict.QUALIFIED_WITH_WAIVERS, ())


@pytest.mark.parametrize(
    ("scope", "holds"),
    [
        (Scope(), True),
        (Scope(profiles=("production",)), True),
        (Scope(profiles=("lab",)), False),
        (Scope(nodes=("node-7",)), True),
        (Scope(nodes=("node-8",)), False),
    ],
)
def test_a_waiver_holds_within_its_scope(scope, holds):
    assert (by(replace(WAIVED, scope=scope)).verdict is Verdict.QUALIFIED_WITH_WAIVERS) is holds


@pytest.mark.parametrize("kind", sorted(UNWAIVABLE, key=lambda kind: kind.value), ids=lambda kind: kind.value)
def test_what_must_not_be_waived_is_not(kind):
    softened = replace(WAIVED, severity=Severity.MINOR, severity_reason="not so bad", fix_target="7.3")
    found = by(softened, campaign(kind.value))
    assert (found.verdict, found.findings[0].severity) == (Verdict.NOT_QUALIFIED, Severity.CRITICAL)
    assert any("cannot be waived" in note for note in found.findings[0].notes)


@pytest.mark.parametrize("status", ["ERROR", "CANCEL", None])
def test_what_was_not_attempted_no_entry_makes_good(status):
    entry = replace(WAIVED, message="", pattern=".*", severity=Severity.MINOR, severity_reason="r", fix_target="7.3")
    assert by(entry, record(attempt(status=status))).verdict is Verdict.INCOMPLETE


def test_a_downgrade_is_told_apart_and_the_original_stays():
    found = by(replace(KNOWN, severity=Severity.MINOR, severity_reason="cosmetic", fix_target="7.3"))
    assert found.verdict is Verdict.QUALIFIED_WITH_WAIVERS
    assert (found.findings[0].severity, found.findings[0].original) == (Severity.MINOR, Severity.MAJOR)


@pytest.mark.parametrize(("target", "verdict"), [("7.3", Verdict.QUALIFIED_WITH_MINOR), ("", Verdict.NOT_QUALIFIED)])
def test_a_minor_needs_a_fix_target(target, verdict):
    assert by(replace(KNOWN, fix_target=target), campaign("wrong-text")).verdict is verdict


def test_a_minor_without_an_entry_fails_the_criteria():
    assert judged(campaign("wrong-text")).verdict is Verdict.NOT_QUALIFIED


def test_in_the_cloud_phase_a_fix_target_is_not_enough():
    entry = replace(KNOWN, fix_target="7.3", severity=Severity.MINOR, severity_reason="cosmetic")
    assert by(entry, campaign("wrong-text", key=CLOUD)).verdict is Verdict.NOT_QUALIFIED
    assert by(replace(entry, waiver_reason="r", waiver_expires=TODAY), campaign("wrong-text", key=CLOUD)).verdict is (
        Verdict.QUALIFIED_WITH_WAIVERS
    )


def test_an_upgrade_counts():
    entry = replace(KNOWN, severity=Severity.CRITICAL, severity_reason="it is worse", fix_target="7.3")
    assert by(entry, campaign("wrong-text")).verdict is Verdict.NOT_QUALIFIED


def test_a_waiver_changes_its_own_finding_only():
    two = record(
        *(
            attempt(key, trace=trace(key, problems=(Problem("wrong-result", text),)))
            for key, text in ((START, "a"), (STOP, "b"))
        )
    )
    before, after = judged(two), judged(two, ledger=Ledger((replace(WAIVED, message="a"),)))
    assert [one for one in after.findings if one.case == STOP] == [one for one in before.findings if one.case == STOP]
    assert after.verdict is Verdict.NOT_QUALIFIED


def test_an_empty_ledger_changes_nothing():
    finding = judged(campaign()).findings[0]
    assert apply([finding], Ledger(), Setting("production", "n", TODAY)) == ((finding,), ())


def test_kinds_that_cannot_be_waived_are_two_sets_apart():
    assert not UNWAIVABLE & NOT_ATTEMPTED


def test_the_notice_is_the_policys():
    entry = replace(WAIVED, waiver_expires=TODAY + dt.timedelta(days=20))
    policy = replace(POLICY, waiver_notice_days=20)
    assert by(entry).findings[0].notes == ()
    noted = judged(campaign(), ledger=Ledger((entry,)), policy=policy)
    assert "expires on 2026-12-11" in noted.findings[0].notes[0]
    assert any("K-1" in step and "2026-12-11" in step for step in noted.next_steps)


def test_what_is_fixed_and_seen_again_counts_as_unknown():
    fixed = replace(KNOWN, state="fixed", fix_target="7.3")
    found = by(fixed, campaign("wrong-text"))
    assert (found.verdict, found.findings[0].bug) == (Verdict.NOT_QUALIFIED, KNOWN.bug)
    assert "is fixed, and it was seen" in found.findings[0].notes[0]
    assert by(replace(WAIVED, state="fixed")).verdict is Verdict.NOT_QUALIFIED
    softened = replace(fixed, severity=Severity.MINOR, severity_reason="cosmetic")
    assert by(softened).findings[0].severity is Severity.MAJOR


def test_what_is_rejected_has_no_fix_to_come():
    rejected = replace(KNOWN, state="rejected", fix_target="7.3")
    assert by(rejected, campaign("wrong-text")).verdict is Verdict.NOT_QUALIFIED
    assert by(replace(WAIVED, state="rejected")).verdict is Verdict.QUALIFIED_WITH_WAIVERS
