# SPDX-License-Identifier: GPL-2.0-or-later
"""Drafts of reports, one for each fingerprint: a judged campaign in the words of a tracker. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from avocado_hvqual.errors import DefinitionError
from avocado_hvqual.model.finding import NOT_ATTEMPTED, Finding, FindingKind, Severity
from avocado_hvqual.model.qualification import Qualification
from avocado_hvqual.reports import layers, plain
from avocado_hvqual.reports.layers import Layer, Placement
from avocado_hvqual.trackers import report
from avocado_hvqual.trackers.report import Fault, harmless
from avocado_hvqual.trackers.settings import ALIAS, COMPONENTS, OTHER, WHITEBOARD, Settings

SUMMARY = 200
"""Characters; Bugzilla takes 255."""

# The component that a kind of finding speaks of by itself; any other is told by the cases that went through it.
_BY_KIND = {
    FindingKind.LIBVIRTD_RESTART: "libvirt",
    FindingKind.QEMU_CRASH: "qemu",
    **dict.fromkeys(
        (
            FindingKind.HOST_HANG,
            FindingKind.HOST_REBOOT,
            FindingKind.HOST_PANIC,
            FindingKind.HOST_LOCKUP,
            FindingKind.HOST_MCE,
            FindingKind.HOST_LOG,
        ),
        "kvm",
    ),
}

# What an operation does or says is first a matter of whom it was asked of: libvirt, or QEMU.
_OF_THE_OPERATION = {
    FindingKind.OPERATION_REFUSED,
    FindingKind.WRONG_RESULT,
    FindingKind.LEFTOVER,
    FindingKind.WRONG_TEXT,
    FindingKind.MISSING_MESSAGE,
}


@dataclass(frozen=True)
class Draft:
    """One report, ready to be sent."""

    fingerprint: str
    fields: dict[str, Any]
    """What a Bugzilla calls its fields, without the text."""
    description: str
    comment: str
    """What is added to a report that is there already."""
    sighting: str
    """The line of both texts by which the tracker shows that it was told of this campaign."""
    known: str = ""
    """The bug that the operator's ledger names for it."""

    def render(self) -> str:
        """Return the draft as a file: the fields, an empty line, the text."""
        rows = [
            f"{name}: {', '.join(value) if isinstance(value, list) else value}" for name, value in self.fields.items()
        ]
        known = [f"known as: {self.known}"] if self.known else []
        return "\n".join([*rows, *known, "", self.description])


def drafts(
    qualification: Qualification, settings: Settings, evidence: Callable[[str], str], wanted: Collection[str] = ()
) -> list[Draft]:
    """
    Return the drafts of a campaign, the worst first; *evidence* says what is known of a file.

    Without *wanted* fingerprints: whatever is open and was seen to be wrong. What was not attempted is no bug of the product until
    somebody asks for it by its fingerprint. DefinitionError for a fingerprint that the campaign does not have.
    """
    groups = plain.faults(qualification)
    missing = [name for name in wanted if name not in groups]
    if missing:
        message = f"The campaign has no finding with the fingerprint '{missing[0]}'; 'avocado hvqual verdict DIR' lists those that it has."
        raise DefinitionError(message)
    placed = layers.placements(qualification)
    return [
        _draft(Fault(name, tuple(found), qualification, placed), settings, evidence)
        for name, found in groups.items()
        if (name in wanted if wanted else any(map(_is_bug, found)))
    ]


def _is_bug(finding: Finding) -> bool:
    return finding.is_open and finding.kind not in NOT_ATTEMPTED


def _draft(fault: Fault, settings: Settings, evidence: Callable[[str], str]) -> Draft:
    severity = min((one.severity for one in fault.found), key=lambda one: one.rank)
    suspects = components(fault.found, fault.placed)
    return Draft(
        fault.name,
        _fields(fault, settings, severity, suspects[0][0] if suspects else OTHER),
        report.description(fault, suspects, evidence),
        report.comment(fault, suspects, evidence),
        report.sighting(fault),
        harmless(next((one.bug for one in fault.found if one.bug), "")),
    )


def _fields(fault: Fault, settings: Settings, severity: Severity, component: str) -> dict[str, Any]:
    first = fault.found[0]
    said: dict[str, Any] = {
        "summary": harmless(f"{first.kind.value}: {first.message}", SUMMARY),
        "product": settings.product,
        "component": settings.components.get(component, settings.components[OTHER]),
        "version": settings.version,
        "severity": settings.severities[severity.value],
        "priority": settings.priorities.get(severity.value, ""),
        "op_sys": settings.op_sys,
        "platform": settings.platform,
        "assigned_to": settings.assigned_to,
        "cc": list(settings.cc),
        "keywords": list(settings.keywords),
        "groups": list(settings.groups),
        "whiteboard": fault.name if WHITEBOARD in settings.marks else "",
        "alias": fault.name if ALIAS in settings.marks else "",
    }
    return {name: value for name, value in said.items() if value}


def components(found: Sequence[Finding], placed: dict[str, Placement]) -> list[tuple[str, int]]:
    """
    Return the components that may be at fault, the likeliest first, each with the number of cases that went through it.

    The kind of finding comes first, then what the twins say (above QEMU is libvirt), then, for what an operation did or said, whom it
    was asked of, then what most of the cases have in common.
    """
    cases = {finding.case: finding.components for finding in found}
    through = Counter(component for named in cases.values() for component in dict.fromkeys(named))
    hint = _hint(found, placed)
    if hint:
        through.setdefault(hint, 0)
    order = list(dict.fromkeys((*found[0].components, *COMPONENTS, *through)))
    return sorted(through.items(), key=lambda pair: (pair[0] != hint, -pair[1], order.index(pair[0])))


def _hint(found: Sequence[Finding], placed: dict[str, Placement]) -> str:
    by_kind = _BY_KIND.get(found[0].kind, "")
    told = {placed[one.case].layer for one in found if one.case in placed and layers.of_finding(one, placed)}
    by_twins = {Layer.ABOVE_QEMU: "libvirt", Layer.AT_OR_BELOW_QEMU: "qemu", Layer.BELOW_ONLY: "qemu"}
    hint = by_kind or (by_twins.get(told.pop(), "") if len(told) == 1 else "")
    asked = {finding.case.partition(":")[0] for finding in found}
    if hint or len(asked) != 1 or found[0].kind not in _OF_THE_OPERATION:
        return hint
    return next((name for name in asked if all(name in finding.components for finding in found)), "")
