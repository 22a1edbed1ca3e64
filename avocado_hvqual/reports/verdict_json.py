# SPDX-License-Identifier: GPL-2.0-or-later
"""verdict.json: the verdict for programs, by the published schema `schemas/verdict.json`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from avocado_hvqual import exit_codes
from avocado_hvqual.model.finding import Finding
from avocado_hvqual.model.qualification import CaseResult, Qualification
from avocado_hvqual.reports import bearing, layers, tree

FORMAT = 1


def document(qualification: Qualification) -> dict[str, Any]:
    """Return the verdict as plain data; `exit_code` is the code of what was found, whether or not a command accepts it."""
    return {
        "format": FORMAT,
        "verdict": qualification.verdict.value,
        "basis": qualification.basis.value,
        "clean": qualification.clean,
        "required": qualification.required,
        "attempted": qualification.attempted,
        "exit_code": exit_codes.of(qualification),
        "reasons": list(qualification.reasons),
        "next_steps": list(qualification.next_steps),
        "findings": list(map(_finding, qualification.findings)),
        "not_covered": [vars(gap) for gap in qualification.not_covered],
        "exit_criteria": [{**vars(gate), "answer": gate.answer.value} for gate in qualification.gates],
        "phase_gates": [vars(gate) for gate in qualification.phase_gates],
        "cases": _cases(qualification),
        "fault_layers": [
            {**placed._asdict(), "layer": placed.layer.value, "twins": list(placed.twins)}
            for placed in layers.placements(qualification).values()
        ],
        "scale": qualification.scale,
        "parameters": [vars(change) for change in qualification.parameters],
        "node": qualification.header.node,
        **_builds(qualification),
        "campaign": _campaign(qualification),
        "policy": qualification.policy,
        "ledger_stale": list(qualification.stale),
        "notes": list(qualification.notes),
        "judged_on": qualification.today,
    }


def _builds(qualification: Qualification) -> dict[str, Any]:
    """Return the builds that the verdict is about, those that were tried, and each time that the campaign went on."""
    return {
        "builds": qualification.builds[-1].versions if qualification.builds else qualification.header.versions,
        "tried_builds": [vars(build) for build in qualification.builds],
        "continued": [vars(one) for one in qualification.continued],
    }


def _campaign(qualification: Qualification) -> dict[str, Any]:
    header = qualification.header
    names = ("id", "profile", "selection", "lab", "command", "started")
    return {**{name: getattr(header, name) for name in names}, "ended": qualification.ended_wall}


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "case": finding.case,
        "severity": finding.severity.value,
        "kind": finding.kind.value,
        "message": finding.message,
        "evidence": list(finding.evidence),
        "phase": finding.phase,
        "category": finding.category,
        "observation": finding.observation,
        "rule": finding.rule,
        "fingerprint": finding.fingerprint,
        "seen": finding.seen,
        "attempts": finding.attempts,
        "open": finding.is_open,
        "fixed": finding.fixed,
        "original_severity": finding.original.value if finding.original else None,
        "severity_reason": finding.override_reason,
        "bug": finding.bug,
        "fix_target": finding.fix_target,
        "entry": finding.entry,
        "notes": list(finding.notes),
        "waiver": vars(finding.waiver) if finding.waiver else None,
    }


def _cases(qualification: Qualification) -> list[dict[str, Any]]:
    claims = bearing.of(qualification)
    return [_case(result, claims.get(result.case, ())) for result in qualification.results]


def _case(result: CaseResult, claims: Sequence[bearing.Claim]) -> dict[str, Any]:
    criteria = [{**vars(judgement), "answer": judgement.answer.value} for judgement in result.judgements]
    plain = {name: value for name, value in vars(result).items() if name not in {"judgements", "traces", "began"}}
    seeds = [seed._asdict() for trace in result.traces for seed in trace.seeds]
    more = {"attempts": list(result.attempts), "criteria": criteria, "seeds": seeds}
    more["statistics"] = [claim.document() for claim in claims]
    return {**plain, **more, "warm_guests": tree.warm_guests(result)}


def render(qualification: Qualification) -> str:
    """Return verdict.json: the same bytes for the same qualification, ASCII whatever a guest called itself."""
    return json.dumps(document(qualification), indent=1, sort_keys=True, allow_nan=False) + "\n"
