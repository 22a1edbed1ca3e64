# SPDX-License-Identifier: GPL-2.0-or-later
"""Decision 2 and 5, one sentence a test: what is attempted, what is open, what the verdict is."""

from dataclasses import replace

import pytest

from avocado_hvqual.limits import Limit
from avocado_hvqual.model.finding import NOT_ATTEMPTED, FindingKind, Severity
from avocado_hvqual.model.observation import Capability, Problem
from avocado_hvqual.model.record import Gate, HealthEvent
from avocado_hvqual.model.verdict import Verdict
from avocado_hvqual.policy_model import LimitFloor, ScaleFloor
from tests import strategies as make
from tests.strategies import CLOUD, POLICY, START, STOP, attempt, judged, record, trace


def kinds(qualification):
    return [finding.kind.value for finding in qualification.findings]


def test_a_healthy_campaign_is_qualified_and_clean():
    found = judged()
    assert (found.verdict, found.clean, found.required, found.attempted) == (Verdict.QUALIFIED, True, 1, 1)
    assert (found.findings, found.reasons, found.next_steps) == ((), (), ())
    assert (
        found.results[0].judgements[0].sentence
        == "'guest_ready': the largest of 1 sample is 2.5 s; the limit is 'max <= 10 s'."
    )


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"status": "ERROR"}, "error"),
        ({"status": "WARN"}, "error"),
        ({"status": "UNHEARD OF"}, "error"),
        ({"status": "CANCEL"}, "cancelled"),
        ({"status": "SKIP"}, "cancelled"),
        ({"status": "INTERRUPTED"}, "interrupted"),
        ({"status": None}, "interrupted"),
        ({"status": None, "trace": None}, "not-run"),
        ({"trace": None}, "passed-without-observation"),
        ({"trace": trace(values=())}, "passed-without-observation"),
        ({"trace": trace(status=None)}, "passed-without-observation"),
        ({"trace": trace(digest_after=None)}, "passed-without-observation"),
        ({"trace": trace(digest_before=None)}, "passed-without-observation"),
        ({"trace": trace(values=(float("nan"),))}, "criterion-unknown"),
        ({"trace": trace(values=("2.5",))}, "criterion-unknown"),
        ({"trace": trace(observations=(make.seen(2.5, unit="ms"),))}, "criterion-unknown"),
        ({"trace": trace(status="error")}, "error"),
        ({"status": "FAIL", "trace": trace(status=None)}, "error"),
        ({"status": "FAIL", "trace": None}, "error"),
        ({"trace": trace(status="cancel")}, "error"),
        ({"damage": "job/1/observations.jsonl:4: seq is 9, expected 3"}, "tampered-journal"),
    ],
)
def test_what_is_not_attempted_makes_the_verdict_incomplete(changes, kind):
    found = judged(record(replace(attempt(), **changes)))
    assert kinds(found) == [kind]
    assert (found.verdict, found.attempted, found.clean) == (Verdict.INCOMPLETE, 0, False)
    assert found.not_covered[0].what == START


def test_a_planned_case_that_left_no_trace_is_not_run():
    found = judged(record(attempt(), cases=[START, STOP]))
    assert (kinds(found), found.verdict, found.attempted, found.required) == (["not-run"], Verdict.INCOMPLETE, 1, 2)


def test_a_required_row_without_a_case_is_missing_and_named():
    found = judged(record(required=(make.row(START), make.row(STOP))))
    assert (kinds(found), found.required, found.attempted) == (["missing-case"], 2, 1)
    assert found.findings[0].case == STOP
    assert found.verdict is Verdict.INCOMPLETE


def test_a_row_of_the_shipped_table_counts_though_the_journal_left_it_out():
    found = judged(policy=replace(POLICY, required=(make.row(STOP),)))
    assert found.verdict is Verdict.INCOMPLETE
    assert "missing-case" in kinds(found)


def test_a_row_that_leaves_the_backend_open_is_answered_by_either():
    found = judged(record(required=(make.row(START, vt_type=""),)))
    assert found.verdict is Verdict.QUALIFIED


def test_without_a_required_table_nobody_is_qualified():
    assert judged(record(required=())).verdict is Verdict.INCOMPLETE


def test_nothing_planned_and_nothing_required_is_incomplete():
    assert judged(record(cases=[], attempts=(), required=())).verdict is Verdict.INCOMPLETE


def test_an_empty_selection_is_not_clean():
    found = judged(record(cases=[], attempts=(), header=make.header(selection=True)))
    assert (found.verdict, found.basis, found.clean) == (Verdict.SELECTION, Verdict.INCOMPLETE, False)


def test_an_observation_that_only_the_table_asks_for_is_owed():
    found = judged(record(required=(make.row(START, observations=("guest_ready", "ram_canary")),)))
    assert kinds(found) == ["passed-without-observation"]
    assert "ram_canary" in found.findings[0].message


def test_the_limit_is_asked_again_and_the_status_not_believed():
    found = judged(record(attempt(trace=trace(values=(10.5,)))))
    assert kinds(found) == ["criterion-unmet"]
    assert (found.verdict, found.results[0].outcome) == (Verdict.NOT_QUALIFIED, "failed")


def test_the_limit_itself_is_still_met():
    assert judged(record(attempt(trace=trace(values=(10.0,))))).verdict is Verdict.QUALIFIED


def test_a_stricter_limit_that_the_test_was_asked_counts_too():
    asked = trace(criteria=(("guest_ready", "max <= 1 s", "met"),))
    assert kinds(judged(record(attempt(trace=asked)))) == ["criterion-unmet"]


def test_a_weaker_limit_that_the_test_was_asked_does_not_replace_the_planned_one():
    asked = trace(values=(11.0,), criteria=(("guest_ready", "max <= 60 s", "met"),))
    assert kinds(judged(record(attempt(trace=asked)))) == ["criterion-unmet"]


def test_an_sla_is_called_so():
    key = "libvirt:hvqual.cloud.sla.start_time:single_big"
    found = judged(record(attempt(key, trace=trace(key, values=(11.0,)))))
    assert kinds(found) == ["sla-unmet"]
    assert found.findings[0].severity is Severity.CRITICAL


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


def test_a_missing_capability_that_the_node_may_lack_excuses_the_case():
    lacking = trace(status="cancel", capabilities=(Capability("vhost_net", ok=False, reason="no /dev/vhost-net"),))
    campaign = record(attempt(), attempt(STOP, "CANCEL", trace=replace(lacking, case=STOP)))
    assert judged(campaign).verdict is Verdict.INCOMPLETE
    excused = judged(campaign, policy=replace(POLICY, not_required=("vhost_net",)))
    assert (excused.verdict, excused.required) == (Verdict.QUALIFIED, 1)
    assert excused.not_covered[0].what == STOP


@pytest.mark.parametrize(
    "probes",
    [(), (("vhost_net", True),), (("nested", False),), (("vhost_net", False), ("nested", False))],
)
def test_a_cancel_that_cites_no_such_probe_is_not_excused(probes):
    shown = tuple(Capability(name, ok=ok, reason="r") for name, ok in probes)
    campaign = record(attempt(), attempt(STOP, "CANCEL", trace=trace(STOP, status="cancel", capabilities=shown)))
    assert judged(campaign, policy=replace(POLICY, not_required=("vhost_net",))).verdict is Verdict.INCOMPLETE


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
    twice = record(reboots=((START, "booted anew"),), health=(HealthEvent("host-reboot", "boot id", "", START),))
    assert kinds(judged(record(reboots=((START, "booted anew"),)))) == ["host-reboot"]
    assert kinds(judged(twice)) == ["host-reboot"]


@pytest.mark.parametrize("ended", ["", "interrupted", "stopped"])
def test_a_campaign_without_its_end_is_incomplete(ended):
    assert judged(record(ended=ended)).verdict is Verdict.INCOMPLETE


def test_a_damaged_journal_is_incomplete_and_names_the_line():
    found = judged(record(damage=("journal.jsonl:7: its hash does not match",)))
    assert (kinds(found), found.verdict) == (["tampered-journal"], Verdict.INCOMPLETE)
    assert "journal.jsonl:7" in found.reasons[0]


def test_a_problem_of_the_harness_is_incomplete():
    assert judged(record(problems=("hook: disk full",))).verdict is Verdict.INCOMPLETE


def test_a_result_that_was_never_planned_is_told():
    assert judged(record(attempt(), attempt(STOP), cases=[START])).verdict is Verdict.INCOMPLETE


FLOOR = LimitFloor("hvqual.lifecycle.*", "guest_ready", Limit.parse("max <= 10 s"))


@pytest.mark.parametrize(
    "limits", [{"guest_ready": "max <= 10.1 s"}, {"guest_ready": "mean <= 10 s"}, {}, {"guest_ready": "soon"}]
)
def test_a_weaker_limit_than_the_policy_permits_caps_the_verdict(limits):
    weak = record(planned=(make.planned(limits=limits),))
    found = judged(weak, policy=replace(POLICY, limit_floors=(FLOOR,)))
    assert "weak-limit" in kinds(found)
    assert (found.verdict, found.attempted) == (Verdict.INCOMPLETE, 0)


def test_the_weakest_permitted_limit_is_permitted():
    assert judged(policy=replace(POLICY, limit_floors=(FLOOR,))).verdict is Verdict.QUALIFIED


@pytest.mark.parametrize(
    ("value", "verdict"), [("19", "INCOMPLETE"), ("20", "QUALIFIED"), ("nan", "INCOMPLETE"), ("", "INCOMPLETE")]
)
def test_the_smallest_permitted_scale(value, verdict):
    policy = replace(POLICY, scale_floors=(ScaleFloor("hvqual.*", "hv_rounds", 20, ("production",)),))
    found = judged(
        record(attempt(trace=trace(params={"hv_rounds": "99", "hv_rounds_production": value}))), policy=policy
    )
    assert found.verdict.value == verdict


def test_a_scale_floor_of_another_profile_does_not_count():
    policy = replace(POLICY, scale_floors=(ScaleFloor("hvqual.*", "hv_rounds", 20, ("production",)),))
    assert judged(record(header=make.header(profile="lab", lab=True)), policy=policy).verdict is Verdict.LAB_QUALIFIED


def test_in_the_cloud_phase_everything_is_critical():
    found = judged(record(attempt(CLOUD, trace=trace(CLOUD, problems=(Problem("wrong-text", "typo"),)))))
    assert [finding.severity for finding in found.findings] == [Severity.CRITICAL]


def test_a_lab_profile_qualifies_for_the_lab_only():
    found = judged(record(header=make.header(lab=True)))
    assert (found.verdict, found.basis) == (Verdict.LAB_QUALIFIED, Verdict.QUALIFIED)


def test_a_lab_profile_does_not_soften_a_failure():
    assert judged(record(attempt(status="FAIL"), header=make.header(lab=True))).verdict is Verdict.NOT_QUALIFIED


@pytest.mark.parametrize(("status", "clean"), [("PASS", True), ("FAIL", False), ("CANCEL", False)])
def test_a_part_run_is_a_selection_and_says_whether_it_is_clean(status, clean):
    found = judged(record(attempt(status=status), header=make.header(selection=True), required=(make.row(STOP),)))
    assert (found.verdict, found.clean) == (Verdict.SELECTION, clean)
    assert "missing-case" not in kinds(found)


def test_a_closed_gate_that_was_passed_by_caps_the_verdict():
    campaign = record(attempt(), attempt(CLOUD))
    assert judged(campaign).verdict is Verdict.QUALIFIED
    closed = replace(campaign, gates=(Gate("cloud", passed=False, reason="not all attempted"),))
    assert judged(closed).verdict is Verdict.QUALIFIED_WITH_WAIVERS
    opened = replace(campaign, gates=(*closed.gates, Gate("cloud", passed=True, reason="")))
    assert judged(opened).verdict is Verdict.QUALIFIED


def test_a_component_without_an_attempted_case_is_named():
    found = judged(policy=replace(POLICY, components=("vhost",)))
    assert [gap.what for gap in found.not_covered] == ["component vhost"]


def test_the_order_of_attempts_of_other_cases_does_not_matter():
    one, two = attempt(status="FAIL"), attempt(STOP, "ERROR")
    assert judged(record(one, two, cases=[START, STOP])) == judged(record(two, one, cases=[START, STOP]))
