# SPDX-License-Identifier: GPL-2.0-or-later
"""The verdict as lines of text, for a terminal and for a log; `explain` adds every answer with its numbers and files."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from avocado_hvqual.model.finding import Finding
from avocado_hvqual.model.qualification import Qualification
from avocado_hvqual.model.verdict import best_with
from avocado_hvqual.observations import FILE
from avocado_hvqual.reports import bearing, history, layers, left_out, spent, words
from avocado_hvqual.reports.scale import seconds
from avocado_hvqual.reports.steps import steps
from avocado_hvqual.reports.tree import start_of
from avocado_hvqual.reports.words import safe
from avocado_hvqual.wording import counted, share

SHOWN = 20
"""So many findings or gaps are printed; the others are counted, and all are in the other reports."""

SHORT = 100
"""Characters of a gap's reason, which the findings tell in full."""


class Line(NamedTuple):
    """One line and its tone."""

    text: str
    tone: str = ""


def lines(qualification: Qualification, *, explain: bool = False) -> Iterator[Line]:
    """Yield the report's lines, the verdict first; nothing in them can move a cursor or hide a character."""
    for line in _raw(qualification, explain=explain):
        indent = line.text[: len(line.text) - len(line.text.lstrip(" "))]
        yield Line((indent + safe(line.text.strip(" "))).rstrip(), line.tone)


def render(qualification: Qualification) -> str:
    """Return report.txt: everything explained."""
    return "".join(f"{line.text}\n" for line in lines(qualification, explain=True))


def _raw(qualification: Qualification, *, explain: bool) -> Iterator[Line]:
    word = words.VERDICTS[qualification.verdict]
    yield Line(f"[{word.symbol}] {qualification.verdict.value}", words.tone(qualification))
    yield Line(f"May the node join? {words.question(qualification)}")
    yield from _about(qualification)
    yield from _list("Why", qualification.reasons)
    yield from _findings(qualification, explain=explain)
    yield from _criteria(qualification)
    yield from _list("What next", qualification.next_steps)
    gaps = tuple(f"{gap.what}: {gap.reason if explain else _short(gap.reason)}" for gap in qualification.not_covered)
    yield from _list("Not covered", gaps, None if explain else SHOWN)
    yield from _list("What the cases could not show here", left_out.of_all(qualification), None if explain else SHOWN)
    changes = tuple(
        f"{change.name} = '{change.value}' instead of '{change.profile_value}'{f' in {change.case}' if change.case else ''}"
        for change in qualification.parameters
    )
    yield from _list("Parameters that differ from the profile", changes)
    yield from _list("The ledger", qualification.stale)
    yield from _list("Notes", qualification.notes)
    if explain:
        yield from _explained(qualification)


def _about(qualification: Qualification) -> Iterator[Line]:
    header = qualification.header
    node = f"{header.node.get('hostname', '?')} ({header.node.get('id', '?')})"
    yield Line(
        f"Node: {node}; campaign {header.id}, profile {header.profile}, ended {words.moment(qualification.ended_wall)}"
    )
    yield Line(f"Builds: {words.builds(qualification) or 'unknown'}")
    yield from map(Line, history.lines(qualification))
    yield Line(f"Attempted: {share(qualification.attempted, qualification.required, 'required case')}")


def _list(title: str, items: tuple[str, ...], most: int | None = None) -> Iterator[Line]:
    if items:
        yield Line("")
        yield Line(f"{title}:")
        for item in items[:most]:
            yield Line(f"  - {item}")
        if most is not None and len(items) > most:
            yield Line(f"  ... and {len(items) - most} more; see report.html")


def _findings(qualification: Qualification, *, explain: bool) -> Iterator[Line]:
    """Yield the findings; without *explain* the same fault in several cases is told once, with their number."""
    groups: dict[object, list[Finding]] = {}
    for number, finding in enumerate(qualification.findings):
        same = number if explain else (finding.severity, finding.fingerprint, state_of(finding))
        groups.setdefault(same, []).append(finding)
    if groups:
        yield Line("")
        yield Line("Findings:")
    placed = layers.placements(qualification)
    alike = {name: Alike.of(found) for name, found in faults(qualification).items()} if explain else {}
    for found in list(groups.values())[: None if explain else SHOWN]:
        elsewhere = (alike[found[0].fingerprint] if explain else Alike.of(found)).besides(found[0])
        yield from _finding(found[0], elsewhere, explain=explain)
        layer = layers.of_finding(found[0], placed)
        if layer:
            yield Line(f"      layer: {layer}")
    if not explain and len(groups) > SHOWN:
        yield Line(f"  ... and {len(groups) - SHOWN} more; see report.html")


def faults(qualification: Qualification) -> dict[str, list[Finding]]:
    """Return the findings by their fingerprints, each group and the groups in the order of the verdict."""
    found: dict[str, list[Finding]] = {}
    for finding in qualification.findings:
        found.setdefault(finding.fingerprint, []).append(finding)
    return found


class Alike(NamedTuple):
    """Where one fault was seen: how often, and in which cases."""

    number: int
    cases: frozenset[str]

    @classmethod
    def of(cls, found: Collection[Finding]) -> Alike:
        """Return where these findings are."""
        return cls(len(found), frozenset(finding.case for finding in found if finding.case))

    def besides(self, finding: Finding) -> str:
        """Return in how many more cases than in that of *finding*, or how often more when in no other; empty when nowhere."""
        cases = len(self.cases) - (finding.case in self.cases)
        if cases:
            return f"also in {counted(cases, 'case')}"
        return f"and {counted(self.number - 1, 'other')} alike" if self.number > 1 else ""


def also(found: Sequence[Finding]) -> str:
    """Return where the same fault as the first finding's was seen, too."""
    return Alike.of(found).besides(found[0])


def _finding(finding: Finding, elsewhere: str, *, explain: bool) -> Iterator[Line]:
    word = words.SEVERITIES[finding.severity]
    where = ", ".join(filter(None, (finding.case or "campaign", elsewhere)))
    yield Line(f"  [{word.symbol}] {word.word} {finding.kind.value}{state_of(finding)}: {where}", word.tone)
    yield Line(f"      {finding.message}")
    for note in notes_of(finding):
        yield Line(f"      {note}")
    rule = f"rule '{finding.rule}', " if explain else ""
    allowed = f"; it allows at best {best_with(finding).value}" if explain else ""
    yield Line(f"      {rule}fingerprint {finding.fingerprint}{allowed}")
    if explain:
        for path in finding.evidence:
            yield Line(f"      evidence: {path}")


def _criteria(qualification: Qualification) -> Iterator[Line]:
    """Yield the answer of each exit criterion of the requirement, and why."""
    yield Line("")
    yield Line("Exit criteria:")
    for gate in qualification.gates:
        answer = words.ANSWERS[gate.answer]
        yield Line(f"  [{answer.symbol}] {gate.id}: {gate.sentence}", answer.tone)


def _short(text: str) -> str:
    return text if len(text) <= SHORT else f"{text[: SHORT - 3]}..."


def state_of(finding: Finding) -> str:
    """Return what sets a finding apart from a plain open one."""
    said = []
    if finding.attempts > 1:
        said.append(f"in {share(finding.seen, finding.attempts, 'try', 'tries')}")
    if finding.original is not None:
        said.append(f"was {finding.original.value} by the table")
    if finding.fixed:
        said.append("fixed by another build")
    elif not finding.is_open:
        said.append("waived")
    return f" ({', '.join(said)})" if said else ""


def notes_of(finding: Finding) -> Iterator[str]:
    """Yield what the ledger says of a finding."""
    if finding.bug:
        target = f", to be fixed in {finding.fix_target}" if finding.fix_target else ", without a fix target"
        yield f"Known as '{finding.entry}': {finding.bug}{target}."
    if finding.original is not None:
        yield f"Severity changed in the ledger: {finding.override_reason}"
    if finding.waiver is not None:
        yield f"Waived by {finding.waiver.owner} until {finding.waiver.expires}: {finding.waiver.reason}"
    if finding.fixed:
        yield finding.fixed
    yield from finding.notes


def _explained(qualification: Qualification) -> Iterator[Line]:
    yield Line("")
    yield Line("How it came to this:")
    claims = bearing.of(qualification)
    for result in qualification.results:
        word = words.OUTCOMES[result.outcome]
        said = [", ".join(result.attempts) or "never tried", result.maturity or "no maturity stated", start_of(result)]
        yield Line(f"  [{word.symbol}] {result.case}: {word.word} ({'; '.join(filter(None, said))})", word.tone)
        for judgement in result.judgements:
            answer = words.ANSWERS[judgement.answer]
            yield Line(f"      [{answer.symbol}] {judgement.sentence}", answer.tone)
        yield from (Line(f"      {claim.sentence}") for claim in claims.get(result.case, ()))
        if result.judgements:
            yield Line(f"      read from: {result.logdir}/{FILE}")
    yield from _spent(qualification)
    for name, value, use_cases in scales_of(qualification.scale):
        yield Line(f"  scale: {name} {value} ({', '.join(use_cases)})")
    for number, step in enumerate(steps(qualification), 1):
        yield Line(f"  {number}. {step}")


def _spent(qualification: Qualification) -> Iterator[Line]:
    """Yield where the time went: the whole, then each case, the longest first."""
    account = spent.account(qualification)
    if not account.cases:
        return
    outside = f"{seconds(account.outside)} outside of cases"
    yield Line(f"  time: {counted(len(account.cases), 'case')} took {seconds(account.total.seconds)}; {outside}")
    for one in (account.total, *account.cases):
        parts = ", ".join(f"{name} {seconds(took)}" for name, took in (*one.operations, (spent.HARNESS, one.harness)))
        yield Line(f"    {one.case or 'all'}: {seconds(one.seconds)} ({parts})")


def scales_of(scale: dict[str, dict[str, str]]) -> list[tuple[str, str, tuple[str, ...]]]:
    """Return (parameter, "used of full", the use cases run so), one row for each parameter and value."""
    groups: dict[tuple[str, str], list[str]] = {}
    for use_case, values in sorted(scale.items()):
        for name, value in values.items():
            groups.setdefault((name, value), []).append(use_case)
    return [(name, value, tuple(use_cases)) for (name, value), use_cases in sorted(groups.items())]
