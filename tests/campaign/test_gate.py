# SPDX-License-Identifier: GPL-2.0-or-later
"""The gate between two phases."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from avocado_hvqual.campaign import gate
from avocado_hvqual.model.case import Phase
from avocado_hvqual.model.finding import Finding, FindingKind, Severity


def qualification(outcomes: dict[str, str], *findings: Finding) -> Any:
    results = [SimpleNamespace(case=case, outcome=outcome) for case, outcome in outcomes.items()]
    return SimpleNamespace(results=results, findings=findings)


def finding(kind: FindingKind, severity: Severity, case: str) -> Finding:
    return Finding(kind, severity, case, "something happened")


def test_the_gate_is_open_when_all_was_attempted_and_nothing_critical_is_open() -> None:
    major = finding(FindingKind.WRONG_RESULT, Severity.MAJOR, "a")
    answer = gate.evaluate(Phase.HYPERVISOR, ["a", "b"], qualification({"a": "failed", "b": "passed"}, major))
    assert answer.passed, answer.reason


@pytest.mark.parametrize("outcome", ["not attempted", None])
def test_the_gate_is_closed_by_a_case_that_was_not_attempted(outcome: Any) -> None:
    outcomes = {"a": "passed", **({"b": outcome} if outcome else {})}
    answer = gate.evaluate(Phase.HYPERVISOR, ["a", "b"], qualification(outcomes))
    assert not answer.passed
    assert "1 of 2" in answer.reason
    assert "b" in answer.reason


@pytest.mark.parametrize("case", ["a", ""])
def test_the_gate_is_closed_by_a_critical_finding_of_a_case_or_of_the_node(case: str) -> None:
    critical = finding(FindingKind.HOST_LOCKUP, Severity.CRITICAL, case)
    answer = gate.evaluate(Phase.HYPERVISOR, ["a"], qualification({"a": "passed"}, critical))
    assert not answer.passed
    assert "something happened" in answer.reason


def test_the_gate_does_not_hold_against_a_phase_that_the_campaign_has_not_ended_yet() -> None:
    running = finding(FindingKind.INTERRUPTED, Severity.CRITICAL, "")
    later = finding(FindingKind.NOT_RUN, Severity.CRITICAL, "cloud case")
    assert gate.evaluate(Phase.HYPERVISOR, ["a"], qualification({"a": "passed"}, running, later)).passed


def test_a_required_case_that_nobody_planned_closes_the_gate() -> None:
    assert not gate.evaluate(Phase.HYPERVISOR, ["a", "missing"], qualification({"a": "passed"})).passed
