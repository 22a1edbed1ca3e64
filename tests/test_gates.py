# SPDX-License-Identifier: GPL-2.0-or-later
"""The eight exit criteria, each met, unmet and unknown for its own reason."""

from dataclasses import replace

import pytest

from avocado_hvqual.ledger import Entry, Ledger
from avocado_hvqual.model.answer import Answer
from avocado_hvqual.model.observation import Problem
from avocado_hvqual.model.record import Gate
from avocado_hvqual.model.verdict import Verdict
from avocado_hvqual.severity import SeverityTable
from tests import strategies as make
from tests.strategies import CLOUD, POLICY, START, attempt, judged, record, row, trace


def answers(campaign, **more):
    return {gate.id.rpartition(".")[2]: (gate.answer, gate.sentence) for gate in judged(campaign, **more).gates}


def answer(name, campaign, **more):
    return answers(campaign, **more)[name][0]


def with_problem(kind, key=START, message="so it is"):
    return attempt(key, trace=trace(key, problems=(Problem(kind, message),)))


BOTH = record(attempt(), attempt(CLOUD))
KNOWN = Entry("K", "https://bugs.example/1", "ops", pattern="so it is")


def known(**changes):
    return Ledger((replace(KNOWN, **changes),))


def test_a_whole_and_clean_campaign_meets_all():
    assert {one for one, _sentence in answers(BOTH).values()} == {Answer.MET}
    assert len(answers(BOTH)) == 8


@pytest.mark.parametrize(
    ("name", "campaign", "sentence"),
    [
        ("attempted_hv", record(attempt(status="ERROR"), attempt(CLOUD)), "0 of 1 preparation and hypervisor case was"),
        ("attempted_hv", replace(BOTH, required=(row(), row(CLOUD), row(make.STOP))), "1 of 2 preparation"),
        ("attempted_cloud", record(attempt(), attempt(CLOUD, "CANCEL")), "0 of 1 cloud case was"),
        ("no_critical_major", record(with_problem("wrong-result"), attempt(CLOUD)), "1 critical or major"),
        ("no_critical_major", record(with_problem("guest-panic"), attempt(CLOUD)), "1 critical or major"),
        ("minor_target", record(with_problem("wrong-text"), attempt(CLOUD)), "1 minor finding is open without"),
        ("cloud_none_pending", record(attempt(), with_problem("wrong-text", CLOUD)), "1 finding is open in the cloud"),
        ("phase_order", record(with_problem("guest-panic"), attempt(CLOUD)), "with 1 critical finding open"),
        ("phase_order", record(attempt(status="ERROR"), attempt(CLOUD)), "0 of 1 case before it attempted"),
        ("phase_order", replace(BOTH, gates=(Gate("cloud", passed=False, reason="too bad"),)), "too bad"),
        ("bug_report", record(with_problem("wrong-text"), attempt(CLOUD)), "1 finding is open without a bug"),
    ],
)
def test_each_is_unmet_for_its_own_reason(name, campaign, sentence):
    found, said = answers(campaign)[name]
    assert found is Answer.UNMET
    assert sentence in said


def test_a_fix_target_meets_minor_target_and_a_bug_meets_bug_report():
    campaign = record(with_problem("wrong-text"), attempt(CLOUD))
    assert answer("minor_target", campaign, ledger=known(fix_target="7.3")) is Answer.MET
    assert answer("minor_target", campaign, ledger=known()) is Answer.UNMET
    assert answer("bug_report", campaign, ledger=known()) is Answer.MET


def test_a_minor_does_not_block_and_a_waived_major_neither():
    minor = record(with_problem("wrong-text"), attempt(CLOUD))
    assert answer("no_critical_major", minor) is Answer.MET
    waived = known(waiver_reason="r", waiver_expires=make.TODAY)
    major = record(with_problem("wrong-result"), attempt(CLOUD))
    assert answer("no_critical_major", major, ledger=waived) is Answer.MET


NOT_SEEN = {
    "error": record(attempt(status="ERROR"), attempt(CLOUD)),
    "cancelled": record(attempt(status="CANCEL"), attempt(CLOUD)),
    "interrupted": record(attempt(status=None), attempt(CLOUD)),
    "not-run": record(attempt(CLOUD), cases=[START, CLOUD]),
    "missing-case": replace(BOTH, required=(row(), row(CLOUD), row(make.STOP))),
    "criterion-unknown": record(attempt(trace=trace(values=(float("nan"),))), attempt(CLOUD)),
    "passed-without-observation": record(attempt(trace=trace(values=())), attempt(CLOUD)),
    "health-unknown": replace(BOTH, known=frozenset({CLOUD})),
    "tampered-journal": replace(BOTH, damage=("journal.jsonl:3: its hash does not match.",)),
}


@pytest.mark.parametrize("kind", NOT_SEEN)
def test_what_was_not_attempted_is_no_critical_or_major_finding_and_says_of_none_that_there_is_none(kind):
    campaign = NOT_SEEN[kind]
    qualification = judged(campaign)
    assert kind in {finding.kind.value for finding in qualification.findings}
    assert qualification.verdict is Verdict.INCOMPLETE, "as before: silence is never consent"
    found, said = answers(campaign)["no_critical_major"]
    assert found is Answer.UNKNOWN
    assert "nobody can say that there is none" in said


@pytest.mark.parametrize("kind", NOT_SEEN)
def test_what_is_major_stays_so_beside_what_was_not_attempted(kind):
    both = NOT_SEEN[kind]
    key = "libvirt:hvqual.lifecycle.pause:single_big"
    both = replace(both, planned=(*both.planned, make.planned(key)), required=(*both.required, row(key)))
    both = replace(both, attempts=(*both.attempts, with_problem("wrong-result", key)), known=both.known | {key})
    found, said = answers(both)["no_critical_major"]
    assert found is Answer.UNMET
    assert said == "1 critical or major finding is open before the cloud phase."
    assert judged(both).verdict is Verdict.INCOMPLETE
    waived = known(waiver_reason="r", waiver_expires=make.TODAY)
    assert answer("no_critical_major", both, ledger=waived) is Answer.UNKNOWN, "a waiver attempts nothing"


def test_what_was_not_attempted_in_the_cloud_phase_says_nothing_of_what_came_before():
    campaign = record(attempt(), attempt(CLOUD, "ERROR"))
    assert answer("no_critical_major", campaign) is Answer.MET
    assert answer("cloud_none_pending", campaign) is Answer.UNMET
    assert judged(campaign).verdict is Verdict.INCOMPLETE


def test_what_no_row_knows_is_told_by_severity():
    table = SeverityTable((POLICY.severities.rules[-1],))
    found = answer("severity", record(with_problem("wrong-text")), policy=replace(POLICY, severities=table))
    assert found is Answer.UNMET


def test_without_a_required_case_nobody_knows():
    assert answer("attempted_cloud", record(attempt())) is Answer.UNKNOWN
    assert answer("attempted_hv", record(attempt(CLOUD))) is Answer.UNKNOWN
    assert answer("no_critical_major", record(attempt(CLOUD))) is Answer.UNKNOWN


def test_the_cloud_phase_that_did_not_begin_is_in_order():
    assert answer("phase_order", record(with_problem("guest-panic"), cases=[START, CLOUD])) is Answer.MET


def test_of_a_part_run_each_is_unknown():
    part = replace(BOTH, header=make.header(selection=True))
    assert {one for one, _sentence in answers(part).values()} == {Answer.UNKNOWN}
