# SPDX-License-Identifier: GPL-2.0-or-later
"""
The operator's ledger of known issues: bug, owner, fix target, another severity with a reason, a waiver that expires.

An entry knows a finding by its signature (what it says), never by its case alone. The raw finding stays visible: nothing is removed,
and what must not be waived is not (`UNWAIVABLE`, and whatever was not attempted).
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Optional

from avocado_hvqual.model.finding import NOT_ATTEMPTED, UNWAIVABLE, Finding, FindingKind, Severity, Waiver, normalise

SOON = dt.timedelta(days=14)


@dataclass(frozen=True)
class Scope:
    """Where a waiver holds; empty holds everywhere."""

    profiles: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()

    def holds(self, profile: str, node: str) -> bool:
        """Whether a campaign of this profile on this node is within."""
        return (not self.profiles or profile in self.profiles) and (not self.nodes or node in self.nodes)


@dataclass(frozen=True)
class Entry:
    """One known issue. `message` is compared normalised and whole, `pattern` is searched; one of the two is there."""

    id: str
    bug: str
    owner: str
    state: str = "open"
    case: str = ""
    """Shell pattern on the case key."""
    kind: Optional[FindingKind] = None
    message: str = ""
    pattern: str = ""
    fix_target: str = ""
    severity: Optional[Severity] = None
    severity_reason: str = ""
    waiver_reason: str = ""
    waiver_expires: Optional[dt.date] = None
    scope: Scope = Scope()
    where: str = ""

    def knows(self, finding: Finding) -> bool:
        """Whether the finding has this entry's signature."""
        return (
            self.kind in {None, finding.kind}
            and (not self.case or fnmatchcase(finding.case, self.case))
            and (not self.message or normalise(self.message) == normalise(finding.message))
            and (not self.pattern or re.search(self.pattern, finding.message) is not None)
            and bool(self.message or self.pattern)
        )


@dataclass(frozen=True)
class Ledger:
    """All known issues; the first entry that knows a finding speaks for it."""

    entries: tuple[Entry, ...] = ()


def apply(
    findings: Iterable[Finding], ledger: Ledger, profile: str, node: str, today: dt.date
) -> tuple[tuple[Finding, ...], tuple[str, ...]]:
    """
    Return the findings with what the ledger says of them, and the sentences on entries that matched nothing.

    A waiver changes its own finding and no other; the day after `expires` it changes nothing; without entries all stay as they were.
    """
    used: set[str] = set()
    told = []
    for finding in findings:
        entry = next((entry for entry in ledger.entries if entry.knows(finding)), None)
        if entry is not None:
            used.add(entry.id)
        told.append(finding if entry is None else _told(finding, entry, today, within=entry.scope.holds(profile, node)))
    stale = tuple(
        f"The ledger's entry '{entry.id}' ({entry.where}) matched no finding: close it, or mend its signature."
        for entry in ledger.entries
        if entry.id not in used
    )
    return tuple(told), stale


def _told(finding: Finding, entry: Entry, today: dt.date, *, within: bool) -> Finding:
    known = replace(finding, entry=entry.id, bug=entry.bug, fix_target=entry.fix_target)
    return _waived(_regraded(known, entry), entry, today, within=within)


def _regraded(finding: Finding, entry: Entry) -> Finding:
    if entry.severity is None or entry.severity is finding.severity:
        return finding
    if finding.kind in UNWAIVABLE and entry.severity.rank > finding.severity.rank:
        return _noted(finding, f"The ledger's entry '{entry.id}' cannot make '{finding.kind.value}' less severe.")
    return replace(finding, severity=entry.severity, original=finding.severity, override_reason=entry.severity_reason)


def _waived(finding: Finding, entry: Entry, today: dt.date, *, within: bool) -> Finding:
    if entry.waiver_expires is None:
        return finding
    name, day = entry.id, entry.waiver_expires.isoformat()
    if finding.kind in UNWAIVABLE or finding.kind in NOT_ATTEMPTED:
        return _noted(finding, f"The waiver '{name}' does not count: '{finding.kind.value}' cannot be waived.")
    if not within:
        return _noted(finding, f"The waiver '{name}' does not count: this profile or node is outside its scope.")
    if today > entry.waiver_expires:
        return _noted(finding, f"The waiver '{name}' expired on {day} and no longer counts.")
    waived = replace(finding, waiver=Waiver(name, entry.waiver_reason, entry.owner, day))
    soon = entry.waiver_expires - today <= SOON
    return _noted(waived, f"The waiver '{name}' expires on {day}.") if soon else waived


def _noted(finding: Finding, note: str) -> Finding:
    return replace(finding, notes=(*finding.notes, note))


def duplicates(entries: Sequence[Entry]) -> list[str]:
    """Return a sentence for each entry whose id an earlier one has."""
    seen: dict[str, Entry] = {}
    wrong = []
    for entry in entries:
        if entry.id in seen:
            wrong.append(
                f"{entry.where}: the entry '{entry.id}' has the id of an earlier one ({seen[entry.id].where})."
            )
        seen.setdefault(entry.id, entry)
    return wrong
