# SPDX-License-Identifier: GPL-2.0-or-later
"""
The operator's ledger of known issues: bug, owner, fix target, another severity with a reason, a waiver that expires.

An entry knows a finding by its signature (what it says, and what its logs say), never by its case alone. The raw finding stays visible:
nothing is removed, and what must not be waived is not (`UNWAIVABLE`, and whatever was not attempted).
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import NamedTuple, Optional

from avocado_hvqual.model.finding import NOT_ATTEMPTED, UNWAIVABLE, Finding, FindingKind, Severity, Waiver, normalise

OPEN, FIXED, REJECTED = "open", "fixed", "rejected"
"""States of an entry. What is rejected will not be fixed, so its fix target does not count; what is fixed must not be seen."""

NOTICE_DAYS = 14
"""A waiver's end is announced so many days ahead where the policy says nothing else."""


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
    """
    One known issue. `message` is compared normalised and whole, `pattern` is searched in it; one of the two is there.

    `log` is searched besides, in the finding's own evidence (`ledger_logs`): it narrows a signature and never is one by itself, for
    one log shows all that went wrong in a case.
    """

    id: str
    bug: str
    owner: str
    state: str = "open"
    case: str = ""
    """Shell pattern on the case key."""
    kind: Optional[FindingKind] = None
    message: str = ""
    pattern: str = ""
    log: str = ""
    found: frozenset[str] = frozenset()
    """Places at which `log` was found: a file of the campaign, or ``file#case`` for a case's part of the kernel log."""
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
            and (not self.log or bool(self.shown_by(finding)))
        )

    def shown_by(self, finding: Finding) -> str:
        """Return the first evidence of the finding in which `log` was found; empty when there is none."""
        return next((path for path in finding.evidence if self.found & {path, f"{path}#{finding.case}"}), "")


@dataclass(frozen=True)
class Ledger:
    """All known issues; the first entry that knows a finding speaks for it."""

    entries: tuple[Entry, ...] = ()
    notes: tuple[str, ...] = ()
    """Which evidence could not be searched, and why."""


class Setting(NamedTuple):
    """What a waiver depends on beside its finding: the campaign's profile and node, the day, and the days of notice."""

    profile: str
    node: str
    today: dt.date
    notice_days: int = NOTICE_DAYS


def apply(findings: Iterable[Finding], ledger: Ledger, setting: Setting) -> tuple[tuple[Finding, ...], tuple[str, ...]]:
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
        told.append(finding if entry is None else _told(finding, entry, setting))
    stale = tuple(
        f"The ledger's entry '{entry.id}' ({entry.where}) matched no finding: close it, or mend its signature."
        for entry in ledger.entries
        if entry.id not in used
    )
    return tuple(told), stale


def _told(finding: Finding, entry: Entry, setting: Setting) -> Finding:
    # What is fixed or will not be fixed has no fix to come, whatever target it once had.
    target = entry.fix_target if entry.state == OPEN else ""
    known = replace(finding, entry=entry.id, bug=entry.bug, fix_target=target)
    if entry.log:
        known = _noted(known, f"The log expression of '{entry.id}' was found in '{entry.shown_by(finding)}'.")
    if entry.state == FIXED:
        return _noted(
            known, f"The ledger says that '{entry.id}' is fixed, and it was seen: it counts as if it were not known."
        )
    return _waived(_regraded(known, entry), entry, setting)


def _regraded(finding: Finding, entry: Entry) -> Finding:
    if entry.severity is None or entry.severity is finding.severity:
        return finding
    if finding.kind in UNWAIVABLE and entry.severity.rank > finding.severity.rank:
        return _noted(finding, f"The ledger's entry '{entry.id}' cannot make '{finding.kind.value}' less severe.")
    return replace(finding, severity=entry.severity, original=finding.severity, override_reason=entry.severity_reason)


def _waived(finding: Finding, entry: Entry, setting: Setting) -> Finding:
    if entry.waiver_expires is None:
        return finding
    name, day = entry.id, entry.waiver_expires.isoformat()
    if finding.kind in UNWAIVABLE or finding.kind in NOT_ATTEMPTED:
        return _noted(finding, f"The waiver '{name}' does not count: '{finding.kind.value}' cannot be waived.")
    if not entry.scope.holds(setting.profile, setting.node):
        return _noted(finding, f"The waiver '{name}' does not count: this profile or node is outside its scope.")
    if setting.today > entry.waiver_expires:
        return _noted(finding, f"The waiver '{name}' expired on {day} and no longer counts.")
    waived = replace(finding, waiver=Waiver(name, entry.waiver_reason, entry.owner, day))
    soon = entry.waiver_expires - setting.today <= dt.timedelta(days=setting.notice_days)
    return _noted(waived, ending(name, day)) if soon else waived


def ending(entry: str, day: str) -> str:
    """Return the note on a waiver whose end is near."""
    return f"The waiver '{entry}' expires on {day}."


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


def in_vain(entries: Sequence[Entry]) -> list[str]:
    """Return a sentence for each entry that asks for what no entry gets: better said now than in a verdict."""
    wrong = []
    for entry in entries:
        softens = entry.severity is not None and entry.severity is not Severity.CRITICAL
        if entry.kind in UNWAIVABLE and (entry.waiver_expires or softens):
            asked = "waived" if entry.waiver_expires else "made less severe"
            wrong.append(
                f"{entry.where}: '{entry.kind.value}' cannot be {asked}, which '{entry.id}' asks for. Remove that."
            )
        elif entry.kind in NOT_ATTEMPTED and entry.waiver_expires:
            said = f"{entry.where}: '{entry.kind.value}' says that a case was not attempted, which no waiver makes good"
            wrong.append(f"{said}. Remove the waiver of '{entry.id}'.")
        elif entry.state == FIXED and entry.waiver_expires:
            said = f"{entry.where}: '{entry.id}' is fixed and has a waiver, which would hide that it came back"
            wrong.append(f"{said}. Remove the waiver, or say 'state: open'.")
    return wrong
