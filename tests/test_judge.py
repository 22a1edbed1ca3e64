# SPDX-License-Identifier: GPL-2.0-or-later
"""Decision 2 and 5, one sentence a test: what is attempted, what is open, what the verdict is."""

from dataclasses import replace

import pytest

from avocado_hvqual import exit_codes
from avocado_hvqual.limits import Limit
from avocado_hvqual.model.answer import Answer
from avocado_hvqual.model.finding import Severity
from avocado_hvqual.model.observation import Capability
from avocado_hvqual.model.record import Gate
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


def test_the_smallest_try_says_at_which_scale_it_was_asked():
    policy = replace(POLICY, scale_floors=(ScaleFloor("hvqual.*", "hv_rounds", 20, ("production",)),))
    tries = [attempt(line=line, trace=trace(params={"hv_rounds": rounds})) for line, rounds in ((10, "20"), (11, "3"))]
    assert judged(record(*tries), policy=policy).verdict is Verdict.INCOMPLETE
    assert judged(record(*reversed(tries)), policy=policy).verdict is Verdict.INCOMPLETE


def test_a_scale_floor_of_another_profile_does_not_count():
    policy = replace(POLICY, scale_floors=(ScaleFloor("hvqual.*", "hv_rounds", 20, ("production",)),))
    assert judged(record(header=make.header(profile="lab", lab=True)), policy=policy).verdict is Verdict.LAB_QUALIFIED


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


CLOSED = Gate("cloud", passed=False, reason="a guest panicked", override="the panic is the guest's own")


def test_an_overridden_gate_caps_the_verdict_and_is_told():
    found = judged(record(attempt(), attempt(CLOUD), gates=(CLOSED,)))
    assert (found.verdict, found.clean) == (Verdict.QUALIFIED_WITH_WAIVERS, True)
    assert any("the panic is the guest's own" in reason for reason in found.reasons)
    (order,) = [gate for gate in found.gates if gate.id == "hvqual.gate.phase_order"]
    assert order.answer is Answer.UNMET
    assert "the panic is the guest's own" in order.sentence


def test_an_override_stays_when_a_later_gate_opens_or_another_phase_was_let_begin():
    later = (CLOSED, Gate("cloud", passed=True, reason=""))
    assert judged(record(attempt(), attempt(CLOUD), gates=later)).verdict is Verdict.QUALIFIED_WITH_WAIVERS
    earlier = (replace(CLOSED, phase="hypervisor"), Gate("cloud", passed=True, reason=""))
    assert judged(record(attempt(), attempt(CLOUD), gates=earlier)).verdict is Verdict.QUALIFIED_WITH_WAIVERS


def test_an_override_makes_nothing_better():
    broken = record(attempt(status="ERROR"), attempt(CLOUD), gates=(CLOSED,))
    assert judged(broken).verdict is Verdict.INCOMPLETE
    lab = replace(record(attempt(), attempt(CLOUD), gates=(CLOSED,)), header=make.header(lab=True))
    assert (judged(lab).verdict, exit_codes.of(judged(lab))) == (Verdict.LAB_QUALIFIED, 44)


def test_a_part_run_asks_no_gate():
    part = replace(record(attempt(), attempt(CLOUD), gates=(CLOSED,)), header=make.header(selection=True))
    assert judged(part).basis is Verdict.QUALIFIED
