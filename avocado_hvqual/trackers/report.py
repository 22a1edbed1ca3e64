# SPDX-License-Identifier: GPL-2.0-or-later
"""
The text of a report: plain, whole, and harmless.

Whatever comes from a guest, a log or a node stands on one line, indented, without control characters: it can forge no line of ours.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from avocado_hvqual.model.finding import Finding
from avocado_hvqual.model.qualification import CaseResult, Qualification
from avocado_hvqual.reports import expected, layers, repeat, words
from avocado_hvqual.reports.layers import Placement
from avocado_hvqual.wording import counted, share

LONGEST = 60_000
"""Characters; Bugzilla takes 65,535."""
TEXT, CASES, REPEATED, FILES = 500, 20, 3, 40
"""Characters of one text; so many cases, commands and files are named."""
# Bugzilla on MySQL's three-byte UTF-8 refuses or cuts what lies beyond the first plane.
_BEYOND = re.compile("[\U00010000-\U0010ffff]")

Evidence = Callable[[str], str]


class Fault(NamedTuple):
    """The findings of one fingerprint (at least one), with the campaign that they are of."""

    name: str
    found: tuple[Finding, ...]
    qualification: Qualification
    placed: dict[str, Placement]

    @property
    def results(self) -> list[CaseResult]:
        """The cases in which it was seen."""
        cases = dict.fromkeys(finding.case for finding in self.found)
        by_key = {result.case: result for result in self.qualification.results}
        return [by_key[case] for case in cases if case in by_key]


def harmless(text: object, most: int = TEXT) -> str:
    r"""
    Return *text* on one line of at most *most* characters, without anything that moves, hides or turns text.

    >>> harmless("\x1b[2Jred\nSighting: \U0001f600")
    'red Sighting: \\U0001f600'
    """
    line = _BEYOND.sub(lambda found: f"\\U{ord(found.group()):08x}", words.safe(text)).strip()
    return line if len(line) <= most else f"{line[: most - 4].rstrip()} ..."


def sighting(fault: Fault) -> str:
    """Return the line that says of which campaign the tracker was told; it is looked for before it is told again."""
    header = fault.qualification.header
    return f"Sighting: {fault.name} in campaign {harmless(header.id, 100)} on node {harmless(header.node.get('id', '?'), 100)}"


def description(fault: Fault, suspects: Sequence[tuple[str, int]], evidence: Evidence) -> str:
    """Return the text of a new report."""
    return _joined(_body(fault, suspects, evidence), fault)


def comment(fault: Fault, suspects: Sequence[tuple[str, int]], evidence: Evidence) -> str:
    """Return the text to add to a report that is there."""
    return _joined(("Seen again.", "", *_body(fault, suspects, evidence)), fault)


def _joined(lines: Sequence[str] | Iterator[str], fault: Fault) -> str:
    end = f"\n\nFingerprint: {fault.name}\n{sighting(fault)}\n"
    text = "\n".join(line.rstrip() for line in lines)
    cut = "\n[cut here; the campaign's report.html has all]"
    return text + end if len(text) <= LONGEST else text[: LONGEST - len(cut)].rpartition("\n")[0] + cut + end


def _body(fault: Fault, suspects: Sequence[tuple[str, int]], evidence: Evidence) -> Iterator[str]:
    yield from _seen(fault)
    yield from _where(fault, suspects)
    yield from _steps(fault)
    yield from _rows("Node:", fault.qualification.header.node)
    yield from _rows("Builds:", fault.qualification.header.versions)
    yield from _evidence(fault, evidence)


def _seen(fault: Fault) -> Iterator[str]:
    first, results = fault.found[0], fault.results
    yield "What was seen:"
    yield f"  {harmless(first.message, 2000)}"
    yield f"  kind {first.kind.value}, {first.severity.value} by the row '{harmless(first.rule)}'"
    yield "Expected:"
    yield f"  {harmless(expected.expected(first, results[0] if results else None))}"


def _where(fault: Fault, suspects: Sequence[tuple[str, int]]) -> Iterator[str]:
    cases = list(dict.fromkeys(finding.case for finding in fault.found))
    seen = {finding.case: finding for finding in fault.found}
    yield ""
    yield "Where:"
    header, ended = fault.qualification.header, words.moment(fault.qualification.ended_wall)
    yield f"  campaign {harmless(header.id)}, profile {harmless(header.profile)}, ended {ended}"
    for case in cases[:CASES]:
        times = f", in {share(seen[case].seen, seen[case].attempts, 'try', 'tries')}" if case else ""
        yield f"  {harmless(case or 'the campaign as a whole')}{times}"
    if len(cases) > CASES:
        yield f"  and {counted(len(cases) - CASES, 'case')} more"
    said = dict.fromkeys(layers.of_finding(finding, fault.placed) for finding in fault.found)
    yield from (f"  layer: {harmless(sentence)}" for sentence in said if sentence)
    if suspects:
        told = ", ".join(
            f"{harmless(name)} (in {counted(number, 'case')})" if number else name for name, number in suspects
        )
        yield f"Components: {told}"


def _steps(fault: Fault) -> Iterator[str]:
    yield ""
    yield "Steps to repeat:"
    yield f"  (the campaign ran as: {harmless(fault.qualification.header.command, 1000)})"
    for result in fault.results[:REPEATED]:
        ours, *plain = repeat.commands(fault.qualification, result)
        yield f"  {harmless(ours, 1000)}"
        yield from (f"    or with avocado alone: {harmless(command, 1000)}" for command in plain)
        seeds = result.latest.seeds if result.latest else ()
        yield from (f"    seed {harmless(seed.seed)}: {harmless(seed.about)}" for seed in seeds)
    changes = [change for change in fault.qualification.parameters if not change.case]
    yield from (
        f"  parameter {harmless(one.name)} = {harmless(one.value)} instead of {harmless(one.profile_value)}"
        for one in changes[:FILES]
    )


def _rows(title: str, values: dict[str, object] | dict[str, str]) -> Iterator[str]:
    yield ""
    yield title
    for name, value in sorted(values.items()):
        yield f"  {harmless(name)}: {harmless(value)}"


def _evidence(fault: Fault, evidence: Evidence) -> Iterator[str]:
    paths = list(dict.fromkeys(path for finding in fault.found for path in finding.evidence))
    yield ""
    yield "Evidence (paths are below the campaign's folder on the node):"
    for path in paths[:FILES]:
        yield f"  {harmless(path)}"
        yield f"    {harmless(evidence(path))}"
    if len(paths) > FILES:
        yield f"  and {counted(len(paths) - FILES, 'file')} more"
    if not paths:
        yield "  none"
