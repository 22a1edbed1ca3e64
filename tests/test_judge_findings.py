# SPDX-License-Identifier: GPL-2.0-or-later
"""What becomes a finding: failures, problems, leftovers, events of the host; one sentence a test."""

import pytest

from avocado_hvqual.model.finding import NOT_ATTEMPTED, FindingKind, Severity
from avocado_hvqual.model.observation import Problem
from avocado_hvqual.model.record import HealthEvent, Reboot
from avocado_hvqual.model.verdict import Verdict
from tests.strategies import CLOUD, START, attempt, judged, record, trace


def kinds(qualification):
    return [finding.kind.value for finding in qualification.findings]


def test_a_failure_without_a_kind_is_a_wrong_result_and_attempted():
    found = judged(record(attempt(status="FAIL")))
    assert (kinds(found), found.attempted, found.verdict) == (["wrong-result"], 1, Verdict.NOT_QUALIFIED)


def test_a_pass_that_the_test_itself_calls_a_failure_is_one():
    found = judged(record(attempt(trace=trace(status="fail", message="the guest is gone"))))
    assert (kinds(found), found.findings[0].message) == (["wrong-result"], "the guest is gone")


def test_a_failure_is_told_once_with_the_kind_that_the_test_gave_it():
    problem = Problem("operation-refused", "'virsh save' was refused.")
    failed = attempt(
        status="FAIL", fail_reason="'virsh save' was refused.", trace=trace(status="fail", problems=(problem,))
    )
    assert kinds(judged(record(failed))) == ["operation-refused"]


def test_a_failure_for_another_reason_than_the_known_problem_is_told_as_well():
    problem = Problem("wrong-text", "a typo in a message")
    failed = attempt(status="FAIL", fail_reason="the guest is gone", trace=trace(status="fail", problems=(problem,)))
    assert kinds(judged(record(failed))) == ["wrong-result", "wrong-text"]


def test_an_unmet_limit_by_which_the_test_failed_is_one_finding():
    reason = "'guest_ready' saw 11 where 'max <= 10 s' is the limit"
    own = trace(values=(11.0,), status="fail", problems=(Problem("sla-unmet", reason),))
    assert kinds(judged(record(attempt(status="FAIL", fail_reason=reason, trace=own)))) == ["criterion-unmet"]


def test_a_failure_that_no_limit_explains_stands_beside_the_unmet_limit():
    own = trace(values=(11.0,), status="fail")
    found = judged(record(attempt(status="FAIL", fail_reason="the disk canary flipped", trace=own)))
    assert kinds(found) == ["wrong-result", "criterion-unmet"]


@pytest.mark.parametrize(
    "kind", [kind for kind in FindingKind if kind not in NOT_ATTEMPTED], ids=lambda kind: kind.value
)
def test_a_problem_counts_though_the_test_passed(kind):
    found = judged(record(attempt(trace=trace(problems=(Problem(kind.value, "seen"),)))))
    assert kind in {finding.kind for finding in found.findings}
    assert not found.clean


@pytest.mark.parametrize("left", [{"differences": ("links: +virbr9",)}, {"digest_after": "bb"}])
def test_what_a_case_left_behind_is_a_finding(left):
    assert kinds(judged(record(attempt(trace=trace(**left))))) == ["leftover"]


def test_what_the_campaign_left_behind_is_a_finding():
    assert kinds(judged(record(leftovers=(("", "mounts: +/mnt/x"),)))) == ["leftover"]


def test_what_campaign_and_case_both_tell_is_one_finding():
    case = attempt(trace=trace(differences=("links: +virbr9",)))
    assert kinds(judged(record(case, leftovers=(("", "links: +virbr9"),)))) == ["leftover"]
    both = judged(record(case, leftovers=(("", "links: +virbr9"), ("", "mounts: +/x"), ("", "mounts: +/y"))))
    assert sorted(one.message for one in both.findings) == [
        "The case left the node changed: links: +virbr9",
        "The node is not as it was: mounts: +/x; mounts: +/y",
    ]


def test_a_later_pass_does_not_erase_a_failure():
    found = judged(record(attempt(status="FAIL"), attempt(line=20), attempt(line=30)))
    finding = found.findings[0]
    assert (finding.seen, finding.attempts, found.verdict) == (1, 3, Verdict.NOT_QUALIFIED)
    assert found.results[0].attempts == ("FAIL", "PASS", "PASS")


def test_the_same_failure_twice_is_one_finding_seen_twice():
    first, second = (attempt(status="FAIL", fail_reason=f"stuck for {n} s at 0x{n}f") for n in (3, 9))
    found = judged(record(first, second))
    assert [(finding.seen, finding.attempts) for finding in found.findings] == [(2, 2)]


def test_a_later_whole_try_makes_an_interrupted_one_good_and_says_so():
    found = judged(record(attempt(status=None), attempt(line=20)))
    assert (found.verdict, found.attempted) == (Verdict.QUALIFIED, 1)
    assert "made good" in found.notes[0]


def test_an_earlier_pass_does_not_hide_a_later_error():
    assert judged(record(attempt(), attempt(status="ERROR", line=20))).verdict is Verdict.INCOMPLETE


def test_a_file_that_was_changed_is_not_made_good_by_a_later_try():
    assert judged(record(attempt(damage="x:1: changed"), attempt(line=20))).verdict is Verdict.INCOMPLETE


def test_an_event_of_the_host_is_critical_and_belongs_to_its_case():
    found = judged(record(health=(HealthEvent("host-lockup", "soft lockup", "kernel.log", START),)))
    assert (kinds(found), found.findings[0].severity, found.findings[0].case) == (
        ["host-lockup"],
        Severity.CRITICAL,
        START,
    )


@pytest.mark.parametrize(
    "changes", [{"known": frozenset()}, {"doubts": (("", "lines were dropped"),)}, {"doubts": ((START, "x"),)}]
)
def test_unknown_health_is_never_clean(changes):
    found = judged(record(**changes))
    assert (kinds(found), found.verdict) == (["health-unknown"], Verdict.INCOMPLETE)


def test_an_unannounced_reboot_is_told_once():
    twice = record(reboots=(Reboot(START, "booted anew"),), health=(HealthEvent("host-reboot", "boot id", "", START),))
    assert kinds(judged(record(reboots=(Reboot(START, "booted anew"),)))) == ["host-reboot"]
    assert kinds(judged(twice)) == ["host-reboot"]


def test_in_the_cloud_phase_everything_is_critical():
    found = judged(record(attempt(CLOUD, trace=trace(CLOUD, problems=(Problem("wrong-text", "typo"),)))))
    assert [finding.severity for finding in found.findings] == [Severity.CRITICAL]
