# SPDX-License-Identifier: GPL-2.0-or-later
"""
Who did what when: a lane for each VM, a bar for each operation, a mark for what befell it and the node.

Drawn light: of a case at most LANES lanes, BARS bars and MARKS marks, of the page at most PAGE_BARS bars. What is left out is counted
in words, and stands in the case's record.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Optional

from avocado_hvqual.model.observation import CaseTrace, Observation, Step
from avocado_hvqual.model.qualification import CaseResult
from avocado_hvqual.model.record import HealthEvent
from avocado_hvqual.reports.numbers import number_of
from avocado_hvqual.reports.scale import Scale, Tick, seconds

LANES, BARS, MARKS, PAGE_BARS = 24, 120, 40, 2400
SILENCES = frozenset({"gap", "silence", "blackout", "downtime", "freeze", "pause"})
"""A part of the name of an observation that says how long something stood still."""
CASE_LANE, NODE_LANE = "case", "node"


class Bar(NamedTuple):
    """One operation: place and width in percent, the row of its lane in which it does not lie over another."""

    at: float
    width: float
    row: int
    name: str
    text: str
    tone: str = ""
    href: str = ""


class Mark(NamedTuple):
    """Something at one moment."""

    at: float
    symbol: str
    tone: str
    text: str


class Lane(NamedTuple):
    """What befell one VM, the case as a whole, or the node."""

    name: str
    rows: int
    bars: tuple[Bar, ...]
    marks: tuple[Mark, ...]


class Entry(NamedTuple):
    """A bar or mark in words, for the table: seconds since the beginning, who, what, and how long."""

    at: float
    who: str
    what: str
    seconds: Optional[float] = None


class Figure(NamedTuple):
    """A whole timeline."""

    seconds: float
    ticks: tuple[Tick, ...]
    lanes: tuple[Lane, ...]
    entries: tuple[Entry, ...]
    cut: str
    """What was left out, as a sentence; empty when nothing was."""


class _Moment(NamedTuple):
    """A mark before it is drawn."""

    lane: str
    second: float
    symbol: str
    tone: str
    text: str


def of_case(result: CaseResult, health: Sequence[HealthEvent], bars: int = BARS) -> Optional[Figure]:
    """Return the timeline of a case's last try with at most *bars* bars; None when it wrote nothing that has a time."""
    trace = result.latest
    if trace is None or not trace.seconds:
        return None
    moments = [*_problems(trace), *_silences(trace), *_events(trace, result.case, health)]
    names = _lanes(trace, moments)
    steps = [step for step in trace.steps if _lane(step.vm) in names[:LANES]]
    kept = set(sorted(range(len(steps)), key=lambda place: -_length(steps[place], trace))[: min(bars, BARS)])
    # What went wrong is shown before what merely was slow.
    loud = sorted(moments, key=lambda moment: (moment.symbol != "!", moment.second))[:MARKS]
    cut = _cut(len(names) - LANES, len(trace.steps) - len(kept), len(moments) - len(loud))
    scale = Scale(0.0, trace.seconds)
    drawn = [step for place, step in enumerate(steps) if place in kept]
    lanes = tuple(_drawn(name, drawn, loud, trace, scale) for name in names[:LANES])
    entries = [Entry(step.begin - trace.mono, _lane(step.vm), _what(step), _length(step, trace)) for step in drawn]
    entries += [Entry(moment.second, moment.lane, moment.text) for moment in loud]
    return Figure(trace.seconds, scale.ticks(), lanes, tuple(sorted(entries, key=lambda one: one.at)), cut)


def _lane(vm: Optional[str]) -> str:
    return vm or CASE_LANE


def _length(step: Step, trace: CaseTrace) -> float:
    return max(0.0, (step.end if step.end is not None else trace.mono_last) - step.begin)


def _what(step: Step) -> str:
    return step.name if step.end is not None else f"{step.name} (did not end)"


def _lanes(trace: CaseTrace, moments: Iterable[_Moment]) -> list[str]:
    """Return the names of all lanes: node and case first, then VMs with trouble, then the others as they came."""
    loud = [moment.lane for moment in moments if moment.symbol == "!"]
    every = [*(_lane(step.vm) for step in trace.steps), *(moment.lane for moment in moments)]
    first = [name for name in (NODE_LANE, CASE_LANE) if name in {*every, *loud}]
    return list(dict.fromkeys([*first, *loud, *every]))


def _problems(trace: CaseTrace) -> list[_Moment]:
    return [
        _Moment(_lane(problem.vm), problem.mono - trace.mono, "!", "bad", f"{problem.what}: {problem.message}")
        for problem in trace.problems
        if problem.mono is not None
    ]


def _silences(trace: CaseTrace) -> list[_Moment]:
    """Return the longest silence of each VM by each name, where it was written down."""
    longest: dict[tuple[str, Optional[str]], tuple[float, Observation]] = {}
    quiet = {name for name in trace.by_name if SILENCES & set(name.split("_"))}
    for sample in trace.observations:
        value = number_of(sample) if sample.unit == "s" and sample.name in quiet else None
        if value is None:
            continue
        key = (sample.name, sample.vm)
        if key not in longest or value > longest[key][0]:
            longest[key] = (value, sample)
    return [
        _Moment(_lane(vm), sample.mono - trace.mono, "~", "note", f"longest {name.replace('_', ' ')}: {seconds(value)}")
        for (name, vm), (value, sample) in longest.items()
    ]


def _events(trace: CaseTrace, case: str, health: Sequence[HealthEvent]) -> list[_Moment]:
    """Return what befell the node during the case; of what only the journal tells, it knows when it was told and not when it was."""
    moments = []
    for event in health:
        if event.case != case:
            continue
        second = event.wall - trace.wall if event.wall else trace.seconds
        how = "told " if event.told else ""
        when = f"{how}{seconds(second)} after the case began" if event.wall and second > 0 else "time not known"
        text = f"{event.kind} during the case ({when}): {event.message}"
        moments.append(_Moment(NODE_LANE, min(max(second, 0.0), trace.seconds), "!", "bad", text))
    return moments


def _drawn(name: str, steps: Sequence[Step], moments: Sequence[_Moment], trace: CaseTrace, scale: Scale) -> Lane:
    until: list[float] = []
    bars = []
    for step in sorted((step for step in steps if _lane(step.vm) == name), key=lambda step: step.begin):
        begin, length = step.begin - trace.mono, _length(step, trace)
        row = free_row(until, begin, begin + length)
        at = scale.at(begin)
        text = f"{_what(step)}, {name}: {seconds(length)}, from {seconds(begin)}"
        tone = "" if step.end is not None else "bad"
        bars.append(Bar(at, max(0.15, round(scale.at(begin + length) - at, 2)), row, _what(step), text, tone))
    marks = tuple(
        Mark(scale.at(one.second), one.symbol, one.tone, f"{one.text}, {name}") for one in moments if one.lane == name
    )
    return Lane(name, max(1, len(until)), tuple(bars), marks)


def free_row(until: list[float], begin: float, end: float) -> int:
    """Return the first row of a lane that is free at *begin*, and take it until *end*."""
    for row, taken in enumerate(until):
        if taken <= begin:
            until[row] = end
            return row
    until.append(end)
    return len(until) - 1


def _cut(lanes: int, bars: int, marks: int) -> str:
    said = [
        f"{number} {noun}{'s' if number > 1 else ''}"
        for number, noun in ((lanes, "lane"), (bars, "operation"), (marks, "mark"))
        if number > 0
    ]
    return f"Not drawn, to keep the page light: {', '.join(said)}; the record has all." if said else ""
