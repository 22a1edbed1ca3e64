# SPDX-License-Identifier: GPL-2.0-or-later
"""What was found on a node: lines for a terminal, and JSON (schemas/node-check.schema.json)."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from avocado_hvqual import exit_codes
from avocado_hvqual.preparation.model import Answer, Check, Defect, Node, Remedy
from avocado_hvqual.preparation.prepare import told
from avocado_hvqual.preparation.running import Result
from avocado_hvqual.reports.words import safe

FORMAT = 1
SYMBOLS = {Answer.MET: "+", Answer.UNMET: "X", Answer.UNKNOWN: "?", Answer.NOT_APPLICABLE: "~"}


@dataclass(frozen=True)
class Report:
    """All that one `node check` has to say. *left_out* are checks that would have touched the node."""

    node_id: str
    node: Node
    source: str
    results: Sequence[Result]
    left_out: Sequence[Check]
    seconds: float

    @property
    def status(self) -> int:
        """The exit status: a defect outweighs what is unknown."""
        return status(self.results)


def status(results: Sequence[Result]) -> int:
    """Return the exit status of what was found; nothing asked is nothing known."""
    answers = {result.answer for result in results}
    if Answer.UNMET in answers:
        return exit_codes.NODE_DEFECT
    return exit_codes.NODE_UNKNOWN if Answer.UNKNOWN in answers or not answers else exit_codes.ACCEPTED


def lines(report: Report) -> Iterator[str]:
    """Yield the report's lines; whatever the node says stands on one line and moves no cursor."""
    for line in _lines(report):
        indent = line[: len(line) - len(line.lstrip(" "))]
        yield indent + safe(line.strip(" "))


def _lines(report: Report) -> Iterator[str]:
    row = report.node.distribution
    ran = (
        "the checks were run on it"
        if row.executed
        else "the checks were never run on it: names of things are by the book"
    )
    yield f"Node {platform.node()} ({report.node_id}), {row.title}: {ran}."
    yield f"Expected: {report.node.expected['name']} ({report.source})"
    yield ""
    for result in report.results:
        yield from _result(result)
    if report.left_out:
        yield ""
        yield "Not asked, because it touches the node (--deep asks):"
        for check in report.left_out:
            yield f"  {check.name}: {'; '.join(check.touches)}"
    yield ""
    yield _sum(report)


def _result(result: Result) -> Iterator[str]:
    yield f"[{SYMBOLS[result.answer]}] {result.check.name}: {result.answer.value}"
    if result.looked.reason:
        yield f"      {result.looked.reason}"
    if result.looked.defects:
        yield f"      Why it matters: {result.check.why}"
    for defect in result.looked.defects:
        yield from _defect(defect)
    for defect in result.waived:
        yield f"    ~ {defect.subject}: found {defect.found}, expected {defect.expected}; '{defect.capability}' is not required."


def _defect(defect: Defect) -> Iterator[str]:
    yield f"    X {defect.subject}"
    yield f"        found:    {defect.found}"
    yield f"        expected: {defect.expected}"
    if defect.remedy is None:
        return
    runs = " (node prepare does it)" if defect.remedy.commands or defect.remedy.files else " (by hand)"
    yield f"        remedy:   {defect.remedy.summary}{runs}"
    yield from (f"                  {line}" for line in remedy_lines(defect.remedy))


def remedy_lines(remedy: Remedy) -> Iterator[str]:
    """Yield what a remedy runs, and what of it nothing takes back."""
    yield from told(remedy)
    if remedy.irreversible:
        yield f"not undone by node restore: {remedy.irreversible}"
    if remedy.later:
        yield f"shows {remedy.later}"


def _sum(report: Report) -> str:
    counts = Counter(result.answer for result in report.results)
    parts = [f"{counts[answer]} {answer.value}" for answer in Answer if counts[answer]]
    defects = sum(len(result.looked.defects) for result in report.results)
    waived = sum(len(result.waived) for result in report.results)
    not_counted = f" ({waived} more not required)" if waived else ""
    return (
        f"{len(report.results)} checks in {report.seconds:.1f} s: {', '.join(parts)}; {defects} defects{not_counted}."
    )


def as_json(report: Report) -> dict[str, Any]:
    """Return the report as schemas/node-check.schema.json describes it."""
    row = report.node.distribution
    return {
        "format": FORMAT,
        "node": {"id": report.node_id, "hostname": platform.node()},
        "distribution": {"id": row.id, "title": row.title, "executed": row.executed},
        "expected": {"name": report.node.expected["name"], "source": report.source},
        "checks": [result_json(result) for result in report.results],
        "not_asked": [{"name": check.name, "touches": list(check.touches)} for check in report.left_out],
        "seconds": round(report.seconds, 3),
        "status": report.status,
    }


def result_json(result: Result) -> dict[str, Any]:
    """Return what one check came to, as JSON."""
    check, seen = result.check, result.looked
    return {
        "name": check.name,
        "use_case": check.use_case,
        "why": check.why,
        "touches": list(check.touches),
        "answer": result.answer.value,
        "reason": seen.reason,
        "seconds": round(result.seconds, 3),
        "facts": [asdict(fact) for fact in seen.facts],
        "defects": [asdict(defect) for defect in seen.defects],
        "not_required": [asdict(defect) for defect in result.waived],
    }
