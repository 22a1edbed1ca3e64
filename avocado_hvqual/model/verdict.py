# SPDX-License-Identifier: GPL-2.0-or-later
"""The verdict, and the one fold that leads to it (decision 5)."""

from __future__ import annotations

import enum
from collections.abc import Sequence

from avocado_hvqual.model.finding import NOT_ATTEMPTED, Finding, Severity


class Verdict(enum.Enum):
    """May the node join? The order is from good to bad; a part run is judged as SELECTION and never qualifies."""

    QUALIFIED = "QUALIFIED"
    QUALIFIED_WITH_MINOR = "QUALIFIED_WITH_MINOR"
    QUALIFIED_WITH_WAIVERS = "QUALIFIED_WITH_WAIVERS"
    LAB_QUALIFIED = "LAB_QUALIFIED"
    SELECTION = "SELECTION"
    NOT_QUALIFIED = "NOT_QUALIFIED"
    INCOMPLETE = "INCOMPLETE"

    @property
    def rank(self) -> int:
        """0 for the best."""
        return list(Verdict).index(self)


QUALIFYING = frozenset({Verdict.QUALIFIED, Verdict.QUALIFIED_WITH_MINOR, Verdict.QUALIFIED_WITH_WAIVERS})


def best_with(finding: Finding) -> Verdict:
    """Return the best verdict that a campaign with this finding can have."""
    if finding.kind in NOT_ATTEMPTED:
        return Verdict.INCOMPLETE
    if finding.fixed:
        return Verdict.QUALIFIED
    table = finding.original or finding.severity
    leans = table is not Severity.MINOR or finding.phase == "cloud" or not finding.fix_target
    if not finding.is_open:
        return Verdict.QUALIFIED_WITH_WAIVERS if leans else Verdict.QUALIFIED_WITH_MINOR
    # In the cloud phase "nothing open" is meant of minor ones too, to which only the ledger can have brought a finding.
    if finding.severity is not Severity.MINOR or finding.phase == "cloud" or not finding.fix_target:
        return Verdict.NOT_QUALIFIED
    return Verdict.QUALIFIED_WITH_WAIVERS if finding.is_downgraded else Verdict.QUALIFIED_WITH_MINOR


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """Return the worst of several; of none there is no verdict (ValueError)."""
    return max(verdicts, key=lambda verdict: verdict.rank)


def basis(findings: Sequence[Finding], required: int, attempted: int) -> Verdict:
    """
    Return what the findings and the counts amount to before it is asked where and how much was run.

    Nothing required, or less attempted than required, is INCOMPLETE. A further finding never makes it better.
    """
    complete = Verdict.QUALIFIED if 0 < required == attempted else Verdict.INCOMPLETE
    return worst([complete, *map(best_with, findings)])


def fold(amount: Verdict, *, selection: bool, lab: bool) -> Verdict:
    """
    Return the verdict for what `basis` came to.

    A part run is a SELECTION whatever came out (whether it is clean is told beside it). Under a lab profile the best is
    LAB_QUALIFIED, whichever qualifying verdict it stands on: hardware was not asked.
    """
    if selection:
        return Verdict.SELECTION
    return Verdict.LAB_QUALIFIED if lab and amount in QUALIFYING else amount
