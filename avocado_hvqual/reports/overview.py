# SPDX-License-Identifier: GPL-2.0-or-later
"""The campaign from its first to its last second: a lane for each category, a bar for each case, marks for what befell the node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional

from avocado_hvqual.model.finding import Severity
from avocado_hvqual.model.qualification import CaseResult, Qualification
from avocado_hvqual.reports import words
from avocado_hvqual.reports.scale import Scale, seconds
from avocado_hvqual.reports.timeline import MARKS, NODE_LANE, Bar, Entry, Figure, Lane, Mark, free_row
from avocado_hvqual.wording import agreeing, counted

CASES = 600
"""So many cases are drawn, the longest; the tree has all."""


def of_campaign(qualification: Qualification) -> Optional[Figure]:
    """Return the timeline of the campaign; None when nothing in it has a time."""
    timed = [result for result in qualification.results if _began(result)]
    began = qualification.header.started
    ends = [qualification.ended_wall, *(_began(result) + _length(result) for result in timed)]
    whole = max(ends) - began
    if not timed or whole <= 0:
        return None
    scale = Scale(0.0, whole)
    shown = sorted(timed, key=lambda result: -_length(result))[:CASES]
    untimed = len(qualification.results) - len(timed)
    said = [f"{counted(untimed, 'case')} never began"] if untimed else []
    left = len(timed) - len(shown)
    said += [f"{counted(left, 'shorter case')} {agreeing(left, 'is', 'are')} not drawn"] if left else []
    categories = dict.fromkeys(result.category for result in qualification.results)
    lanes = [_lane(name, [one for one in shown if one.category == name], began, scale) for name in categories]
    marks, entries = _node(qualification, scale)
    node = [Lane(NODE_LANE, 1, (), marks)] if marks else []
    entries += [Entry(_began(one) - began, one.category, _told(one), _length(one)) for one in shown]
    cut = f"{' and '.join(said)}; the tree has all." if said else ""
    drawn = (*node, *(lane for lane in lanes if lane.bars))
    return Figure(whole, scale.ticks(6), drawn, tuple(sorted(entries, key=lambda one: one.at)), cut)


def _began(result: CaseResult) -> float:
    return result.began or (result.latest.wall if result.latest else 0.0)


def _length(result: CaseResult) -> float:
    last = result.latest.seconds if result.latest else 0.0
    return max(last, result.seconds if len(result.attempts) == 1 else 0.0)


def _told(result: CaseResult) -> str:
    return f"{result.case}: {result.outcome}"


def _lane(name: str, results: Sequence[CaseResult], began: float, scale: Scale) -> Lane:
    until: list[float] = []
    bars = []
    for result in sorted(results, key=_began):
        begin, length = max(0.0, _began(result) - began), _length(result)
        row = free_row(until, begin, begin + length)
        at, word = scale.at(begin), words.OUTCOMES[result.outcome]
        text = f"{_told(result)}, {seconds(length)}, from {seconds(begin)}"
        width = max(0.15, round(scale.at(begin + length) - at, 2))
        bars.append(Bar(at, width, row, words.GLYPHS[word.symbol], text, word.tone, f"#case-{result.case}"))
    return Lane(name, max(1, len(until)), tuple(bars), ())


def _node(qualification: Qualification, scale: Scale) -> tuple[tuple[Mark, ...], list[Entry]]:
    """Return what befell the node, where it was told; of more than MARKS events the first."""
    told = [
        (max(0.0, event.wall - qualification.header.started), event) for event in qualification.health if event.wall
    ]
    tone = words.SEVERITIES[Severity.CRITICAL].tone
    marks, entries = [], []
    for second, event in told[:MARKS]:
        where = f" during {event.case}" if event.case else ""
        text = f"{event.kind}{where}, told {seconds(second)} after the campaign began: {event.message}"
        marks.append(Mark(scale.at(second), "!", tone, text))
        entries.append(Entry(second, NODE_LANE, text))
    return tuple(marks), entries
