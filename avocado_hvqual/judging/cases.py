# SPDX-License-Identifier: GPL-2.0-or-later
"""
What all tries of one case amount to: every try is kept, and a later pass never erases an earlier failure.

Only "could not be tried" (error, cancelled, interrupted, ...) is made good by a later try that was whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from avocado_hvqual.judging.attempts import Tried, judge_attempt
from avocado_hvqual.judging.sighting import Sighting
from avocado_hvqual.model.case import RequiredRow
from avocado_hvqual.model.finding import NOT_ATTEMPTED, FindingKind, normalise
from avocado_hvqual.model.plan import PlannedCase
from avocado_hvqual.model.record import Attempt, CampaignRecord
from avocado_hvqual.policy_model import Policy

Fault = tuple[FindingKind, str, str]
"""Kind, observation and normalised message: what the fingerprint is made of."""


@dataclass(frozen=True)
class Counted:
    """A sighting with the number of tries in which it was seen."""

    sighting: Sighting
    seen: int
    attempts: int
    builds: frozenset[int] = frozenset()
    """On which of the campaign's builds it was seen."""
    fixed: str = ""
    """How another build mended it."""


@dataclass(frozen=True)
class JudgedCase:
    """One planned case with all its tries."""

    planned: PlannedCase
    tried: tuple[Tried, ...]
    counted: tuple[Counted, ...]
    excused: str = ""
    """Why it is not required on this class of node."""
    notes: tuple[str, ...] = ()
    home: int = 0
    """The build of its last whole try."""
    passed: bool = False
    """Whether it passed on that build each time, and the campaign ran on several."""
    fixed: bool = False
    """Whether that makes good all that failed on earlier ones."""
    stale: str = ""
    """Why its result says nothing of the last build."""

    @property
    def attempted(self) -> bool:
        """Whether it counts: tried as a whole at least once, and nothing since then says otherwise."""
        whole = any(tried.attempted for tried in self.tried)
        return whole and not any(counted.sighting.kind in NOT_ATTEMPTED for counted in self.counted)

    @property
    def outcome(self) -> str:
        """Return the outcome in the words of the reports."""
        if self.excused:
            return "not required"
        if not self.attempted:
            return "not attempted"
        return "failed" if any(tried.failed for tried in self.tried) and not self.fixed else "passed"


def judge_cases(record: CampaignRecord, rows: Sequence[RequiredRow], policy: Policy) -> tuple[JudgedCase, ...]:
    """Return every planned case of the campaign, judged, in the order of the plan."""
    attempts: dict[str, list[Attempt]] = {}
    for attempt in record.attempts:
        attempts.setdefault(attempt.case, []).append(attempt)
    by_id: dict[str, list[RequiredRow]] = {}
    for row in rows:
        by_id.setdefault(row.id, []).append(row)
    return tuple(
        _judged(case, attempts.get(str(case.key), []), by_id.get(case.key.hv_id, []), record, policy)
        for case in record.planned
    )


def _judged(
    case: PlannedCase, attempts: list[Attempt], rows: list[RequiredRow], record: CampaignRecord, policy: Policy
) -> JudgedCase:
    owed = frozenset(case.observations).union(*(row.observations for row in rows if row.answered_by(case.key)))
    tried = tuple(judge_attempt(attempt, case, owed) for attempt in attempts)
    lacking = tried[-1].lacking if tried else ()
    forgiven = [name for name in lacking if name in policy.not_required]
    if forgiven and len(forgiven) == len(lacking) and not any(one.attempted or one.failed for one in tried):
        excused = f"this class of node may lack: {', '.join(forgiven)}"
        kept = tuple(Counted(one, 1, len(tried)) for one in _facts(tried))
        return JudgedCase(case, tried, kept, excused)
    counted, notes = _counted(case, tried)
    key = str(case.key)
    if any(one.attempted for one in tried) and key not in record.known and not _doubted(record, key):
        message = "Nobody watched the node's health to the end of this case, so what befell it meanwhile is not known."
        counted = (*counted, Counted(Sighting(FindingKind.HEALTH_UNKNOWN, key, message), 1, len(tried)))
    return JudgedCase(case, tried, counted, notes=notes)


def _doubted(record: CampaignRecord, key: str) -> bool:
    return any(case in {"", key} for case, _reason in record.doubts)


def _facts(tried: Sequence[Tried]) -> list[Sighting]:
    """Return what was seen of the product in tries that were none."""
    return [sighting for one in tried for sighting in one.sightings if sighting.kind not in NOT_ATTEMPTED]


def _counted(case: PlannedCase, tried: Sequence[Tried]) -> tuple[tuple[Counted, ...], tuple[str, ...]]:
    if not tried:
        message = "The case was planned and never began."
        return (Counted(Sighting(FindingKind.NOT_RUN, str(case.key), message), 0, 0),), ()
    last_whole = max((place for place, one in enumerate(tried) if one.attempted), default=-1)
    sightings, notes = [], []
    for place, one in enumerate(tried):
        for sighting in one.sightings:
            superseded = place < last_whole and sighting.kind in NOT_ATTEMPTED - {FindingKind.TAMPERED_JOURNAL}
            if superseded:
                notes.append(
                    f"'{case.key}': try {place + 1} of {len(tried)} was made good by a later one. {sighting.message}"
                )
            else:
                sightings.append((place, sighting))
    groups: Counter[Fault] = Counter()
    firsts: dict[Fault, Sighting] = {}
    on: dict[Fault, set[int]] = {}
    in_try: set[tuple[int, Fault]] = set()
    for place, sighting in sightings:
        key = (sighting.kind, sighting.observation, normalise(sighting.message))
        firsts.setdefault(key, sighting)
        on.setdefault(key, set()).add(tried[place].attempt.build)
        if (place, key) not in in_try:
            in_try.add((place, key))
            groups[key] += 1
    counted = (Counted(first, groups[key], len(tried), frozenset(on[key])) for key, first in firsts.items())
    return tuple(counted), tuple(notes)
