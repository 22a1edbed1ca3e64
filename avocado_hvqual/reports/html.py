# SPDX-License-Identifier: GPL-2.0-or-later
"""report.html: self-contained; its first screen answers whether the node may join, why not, what next, what was not covered."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any, Optional
from urllib.parse import quote

import jinja2

from avocado_hvqual.model.finding import Finding
from avocado_hvqual.model.qualification import CaseResult, Qualification
from avocado_hvqual.reports import (
    bearing,
    expected,
    history,
    layers,
    left_out,
    overview,
    plain,
    repeat,
    samples,
    scale,
    spent,
    timeline,
    tree,
    words,
)
from avocado_hvqual.wording import counted, share

TEMPLATES = Path(__file__).resolve().parents[1] / "templates"
_JOINTS = re.compile(r"(?<=[.:/_])(?=[^.:/_])")
EVIDENCE = 60
"""So many files are listed of one case."""
LONGEST = 12
"""So many cases are shown at once where the time went."""


def link(path: str) -> str:
    """Return the address of a file below the campaign's folder, or an empty text when *path* leads anywhere else."""
    parts = path.split("/")
    if not path or path.startswith("/") or ".." in parts or "\x00" in path:
        return ""
    return "./" + quote(path, safe="/", errors="replace")


def parts(text: str) -> list[str]:
    """
    Return the parts of a name, behind each of which a line may end.

    >>> parts("libvirt:hvqual.cpu.pin_all")
    ['libvirt:', 'hvqual.', 'cpu.', 'pin_', 'all']
    """
    return _JOINTS.split(words.safe(text))


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Whatever a template prints is cleaned of what moves, turns or hides text, then escaped.
        finalize=lambda value: value if hasattr(value, "__html__") else words.safe(value),
    )
    environment.filters.update(
        history=history.lines,
        left_out=left_out.of_case,
        link=link,
        parts=parts,
        moment=words.moment,
        state=plain.state_of,
        remarks=plain.notes_of,
        scales=plain.scales_of,
        seconds=scale.seconds,
        start=tree.start_of,
    )
    environment.globals.update(
        words=words, counted=counted, share=share, also=plain.also, EVIDENCE=EVIDENCE, LONGEST=LONGEST
    )
    return environment


def render(qualification: Qualification) -> str:
    """Return report.html; every text in it is escaped, and nothing is loaded from anywhere."""
    template = _environment().get_template("report.html.j2")
    return template.render(q=qualification, **context(qualification))


def context(qualification: Qualification) -> dict[str, Any]:
    """Return what the page shows besides the qualification itself."""
    results = {result.case: result for result in qualification.results}
    placed = layers.placements(qualification)
    groups = _groups(qualification)
    by_case: dict[str, list[tuple[int, Finding]]] = {}
    for number, found in enumerate(groups):
        for finding in found:
            by_case.setdefault(finding.case, []).append((number, finding))
    return {
        "results": results,
        "tree": tree.tree(qualification),
        "groups": groups,
        "by_case": by_case,
        "placed": placed,
        "spreads": samples.spreads(qualification),
        "claims": bearing.of(qualification),
        "figures": _figures(qualification),
        "overview": overview.of_campaign(qualification),
        "spent": spent.account(qualification),
        "layer": lambda finding: layers.of_finding(finding, placed),
        "local": lambda finding, path: _local(path, results.get(finding.case)),
        "expected": lambda finding: expected.expected(finding, results.get(finding.case)),
        "repeats": lambda result: repeat.commands(qualification, result),
    }


def _local(path: str, result: Optional[CaseResult]) -> str:
    """Return the name of a file within the folder of the finding's case; of any other its path."""
    folder = f"{result.logdir}/" if result and result.logdir else ""
    return path[len(folder) :] if folder and path.startswith(folder) else path


def _groups(qualification: Qualification) -> list[list[Finding]]:
    """Return the findings in their order, the same fault in several cases together."""
    groups: dict[object, list[Finding]] = {}
    for finding in qualification.findings:
        same = (finding.severity, finding.fingerprint, plain.state_of(finding), *plain.notes_of(finding))
        groups.setdefault(same, []).append(finding)
    return list(groups.values())


def _figures(qualification: Qualification) -> dict[str, timeline.Figure]:
    """Return the timeline of each case, those that did not pass first to draw from the page's measure of bars."""
    left = timeline.PAGE_BARS
    figures = {}
    for result in sorted(qualification.results, key=_passed):
        figure = timeline.of_case(result, qualification.health, left)
        if figure is not None:
            figures[result.case] = figure
            left -= sum(len(lane.bars) for lane in figure.lanes)
    return figures


def _passed(result: CaseResult) -> bool:
    return result.outcome == "passed"
