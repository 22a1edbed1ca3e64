# SPDX-License-Identifier: GPL-2.0-or-later
"""
Two campaigns beside each other: `compare(before, after, slower) -> Comparison`. Pure; the nodes may differ.

Faults are matched by fingerprint, cases by key, speed by case, observation, unit and label. What was not seen again counts as fixed only
where each case that had shown it was attempted again: silence is never consent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

from avocado_hvqual.model.finding import NOT_ATTEMPTED, Finding, Severity
from avocado_hvqual.model.qualification import Qualification
from avocado_hvqual.policy_model import Slower

SECONDS = frozenset({"s", "ms", "us", "ns", "min"})
ATTEMPTED = frozenset({"passed", "failed"})


@dataclass(frozen=True)
class Fault:
    """All findings of one fingerprint."""

    fingerprint: str
    kind: str
    severity: Severity
    message: str
    """As it was said in one of its cases."""
    before: tuple[str, ...]
    """Where the first campaign saw it: case keys, an empty one for the campaign itself."""
    after: tuple[str, ...]
    waived: bool
    """Whether the second campaign (the first one, where it is gone) has it waived in each case."""
    unproven: tuple[str, ...] = ()
    """Cases that showed it before and were not attempted again."""


class Pace(NamedTuple):
    """One observation of one case in both campaigns; `ratio` is above 1 where the second one is slower."""

    case: str
    observation: str
    label: str
    unit: str
    before: float
    after: float
    samples_before: int
    samples_after: int
    ratio: float


class Side(NamedTuple):
    """What a campaign is, in a few words."""

    campaign: str
    node: str
    profile: str
    verdict: str
    builds: dict[str, str]


@dataclass(frozen=True)
class Comparison:
    """What changed from the first campaign to the second."""

    before: Side
    after: Side
    new: tuple[Fault, ...]
    fixed: tuple[Fault, ...]
    not_seen: tuple[Fault, ...]
    """Gone, and nobody knows whether it is fixed: not every case that had shown it was attempted again."""
    still: tuple[Fault, ...]
    newly_attempted: tuple[str, ...]
    no_longer_attempted: tuple[str, ...]
    slower: tuple[Pace, ...]
    faster: tuple[Pace, ...]
    by: Slower
    paced: int
    """So many observations had samples enough on both sides."""

    @property
    def is_worse(self) -> bool:
        """Whether anything is worse than it was."""
        return bool(self.new or self.no_longer_attempted or self.slower)


def compare(before: Qualification, after: Qualification, slower: Slower) -> Comparison:
    """Return what is new, fixed, still open, newly or no longer attempted, and slower."""
    faults = list(_faults(before, after))
    had, have = _attempted(before), _attempted(after)
    paces = list(_paces(before, after, slower.samples))
    return Comparison(
        before=_side(before),
        after=_side(after),
        new=tuple(one for one in faults if not one.before),
        fixed=tuple(one for one in faults if not one.after and not one.unproven),
        not_seen=tuple(one for one in faults if not one.after and one.unproven),
        still=tuple(one for one in faults if one.before and one.after),
        newly_attempted=tuple(sorted(have - had)),
        no_longer_attempted=tuple(sorted(had - have)),
        slower=tuple(one for one in paces if one.ratio >= slower.ratio),
        faster=tuple(one for one in reversed(paces) if one.ratio * slower.ratio <= 1),
        by=slower,
        paced=len(paces),
    )


def _side(it: Qualification) -> Side:
    last = it.builds[-1].versions if it.builds else it.header.versions
    return Side(it.header.id, str(it.header.node.get("id", "")), it.header.profile, it.verdict.value, dict(last))


def _attempted(it: Qualification) -> frozenset[str]:
    return frozenset(result.case for result in it.results if result.outcome in ATTEMPTED)


def _counted(it: Qualification) -> dict[str, list[Finding]]:
    """Return the findings by fingerprint, without those that only say that a case was not attempted: the lists of cases tell that."""
    found: dict[str, list[Finding]] = {}
    for finding in it.findings:
        if not finding.fixed and not (finding.case and finding.kind in NOT_ATTEMPTED):
            found.setdefault(finding.fingerprint, []).append(finding)
    return found


def _faults(before: Qualification, after: Qualification) -> Iterator[Fault]:
    """Yield every fault of both, the worst first."""
    had, have = _counted(before), _counted(after)
    again = _attempted(after) | (frozenset({""}) if _watched(after) else frozenset())
    found = []
    for fingerprint in dict.fromkeys((*had, *have)):
        old, new = had.get(fingerprint, []), have.get(fingerprint, [])
        said = new or old
        worst = min(said, key=lambda finding: (finding.severity.rank, finding.case))
        cases = tuple(sorted({one.case for one in old}))
        unproven = () if new else tuple(case for case in cases if case not in again)
        now = tuple(sorted({one.case for one in new}))
        waived = all(one.waiver for one in said)
        found.append(Fault(fingerprint, worst.kind.value, worst.severity, worst.message, cases, now, waived, unproven))
    yield from sorted(found, key=lambda one: (one.severity.rank, one.kind, one.fingerprint))


def _watched(it: Qualification) -> bool:
    """Whether the campaign as a whole was attempted: then what befell an earlier one between cases could have been seen again."""
    return 0 < it.required == it.attempted and not any(
        not finding.case and finding.kind in NOT_ATTEMPTED for finding in it.findings
    )


Series = tuple[str, str, str, str]


def _samples(it: Qualification) -> dict[Series, list[float]]:
    found: dict[Series, list[float]] = {}
    for result in it.results:
        for trace in result.traces:
            for one in trace.observations:
                if _speed(one.unit) and isinstance(one.value, (int, float)) and not isinstance(one.value, bool):
                    found.setdefault((result.case, one.name, one.label, one.unit), []).append(float(one.value))
    return found


def _speed(unit: str) -> int:
    """Return 1 for a unit of which more is slower, -1 for one of which more is faster, 0 for any other."""
    if unit in SECONDS:
        return 1
    return -1 if unit.endswith("/s") else 0


def _paces(before: Qualification, after: Qualification, least: int) -> Iterable[Pace]:
    """Return each observation that has samples enough on both sides, what became slowest first."""
    old, new = _samples(before), _samples(after)
    found = []
    for series, values in old.items():
        others = new.get(series, [])
        if min(len(values), len(others)) < least:
            continue
        was, has = median(values), median(others)
        if was > 0 and has > 0:
            case, name, label, unit = series
            ratio = has / was if _speed(unit) > 0 else was / has
            found.append(Pace(case, name, label, unit, was, has, len(values), len(others), ratio))
    return sorted(found, key=lambda one: (-one.ratio, one.case, one.observation, one.label))
