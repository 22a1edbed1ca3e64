# SPDX-License-Identifier: GPL-2.0-or-later
"""
The gate between two phases (decision 5), which says whether the next one may start.

A closed gate ends the campaign under a profile that says ``gate: stop``. A part run (smoke, --only) qualifies nothing, so its
gate is evaluated and written down, and the next phase runs: stopping it would only hide what the rest would have shown.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from avocado_hvqual.model.case import Phase
from avocado_hvqual.model.finding import NOT_ATTEMPTED, Severity
from avocado_hvqual.wording import agreeing, counted, share


class Answer(NamedTuple):
    """Whether a gate is open, and the sentence why or why not."""

    passed: bool
    reason: str


def evaluate(phase: Phase, planned: Iterable[str], qualification: Any) -> Answer:
    """
    Return whether the phase after ``phase`` may start, from the judge's view of what has run so far.

    Open when every case of the phase was attempted and no critical finding is open; a finding of the campaign as a whole (no
    case) counts too, except that the phases to come are not attempted yet.
    """
    cases = set(planned)
    results = {result.case: result.outcome for result in qualification.results}
    lacking = sorted(case for case in cases if results.get(case) not in {"passed", "failed", "not required"})
    if lacking:
        left = f"{share(len(lacking), len(cases), 'case')} of the phase {phase.value}"
        was = agreeing(len(lacking), "was", "were", of=len(cases))
        return Answer(passed=False, reason=f"{left} {was} not attempted: {', '.join(lacking)}.")
    critical = [
        finding
        for finding in qualification.findings
        if finding.severity is Severity.CRITICAL
        and finding.is_open
        and (finding.case in cases or (not finding.case and finding.kind not in NOT_ATTEMPTED))
    ]
    if critical:
        return Answer(
            passed=False,
            reason=f"{counted(len(critical), 'critical finding')} {agreeing(len(critical), 'is', 'are')} open, "
            f"the first: {critical[0].message}",
        )
    return Answer(
        passed=True,
        reason=f"{share(len(cases), len(cases), 'case')} of the phase {phase.value} {agreeing(len(cases), 'was', 'were')} attempted "
        "and no critical finding is open.",
    )
