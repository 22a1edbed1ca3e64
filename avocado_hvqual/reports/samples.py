# SPDX-License-Identifier: GPL-2.0-or-later
"""
How the samples of an observation are spread, against its limit: each of them, not only the worst.

One strip for each case, and for each label within it (a flavor, a state of the cache). The figures are the criteria's own, so that the
page and the verdict cannot disagree on what a median is.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Optional

from avocado_hvqual.criteria import CRITERIA
from avocado_hvqual.errors import DefinitionError
from avocado_hvqual.limits import Limit
from avocado_hvqual.model.answer import Answer, Judgement
from avocado_hvqual.model.qualification import CaseResult, Qualification
from avocado_hvqual.reports import bearing
from avocado_hvqual.reports.numbers import number_of
from avocado_hvqual.reports.scale import Scale, Tick

START_TIMES = ("guest_ready", "domain_running")
"""Always shown; another observation when it has a limit and at least LEAST samples that differ."""
LEAST = 3
STRIPS = 40
"""So many strips are drawn for one observation; the table has all."""
DOTS = 80
"""A strip of more samples is drawn as a histogram."""
LEVELS = 7
BINS = 60
FAR = 8.0
"""A limit that is so many times the largest sample is named and not drawn: beside it the samples would be one dot."""


class Dot(NamedTuple):
    """One sample: its place, how many stand below it, and whether it breaks the limit."""

    at: float
    level: int
    over: bool
    text: str


class Column(NamedTuple):
    """One bin of a histogram: its place and width in percent, its height as a part of the highest."""

    at: float
    width: float
    height: float
    over: bool
    text: str


class Strip(NamedTuple):
    """The samples of one case, or of one label in it."""

    case: str
    label: str
    numbers: dict[str, float]
    """count, min, median, p95, max."""
    limits: tuple[str, ...]
    asked: bool
    answer: Optional[Answer]
    drawn: bool
    limit_at: Optional[float]
    marks: dict[str, float]
    """Where median, p95 and max stand."""
    bears: str
    """What so many samples say of percentiles and of the limit, at 95 %."""
    dots: tuple[Dot, ...] = ()
    columns: tuple[Column, ...] = ()


class Spread(NamedTuple):
    """One observation over all cases, on one axis."""

    observation: str
    unit: str
    ticks: tuple[Tick, ...]
    strips: tuple[Strip, ...]
    hidden: int
    far: tuple[str, ...]
    """Limits that are named and not drawn."""

    @property
    def asked(self) -> tuple[Strip, ...]:
        """The drawn strips of cases with a limit."""
        return tuple(strip for strip in self.strips if strip.drawn and strip.asked)

    @property
    def unasked(self) -> tuple[Strip, ...]:
        """The other drawn strips."""
        return tuple(strip for strip in self.strips if strip.drawn and not strip.asked)


class _Sampled(NamedTuple):
    """What was seen of one observation in one case, or of one label in it."""

    case: str
    label: str
    values: tuple[float, ...]
    judgements: tuple[Judgement, ...]
    limits: tuple[Limit, ...]


def spreads(qualification: Qualification) -> tuple[Spread, ...]:
    """Return the spread of each observation that has one, start times first."""
    found: dict[tuple[str, str], list[_Sampled]] = {}
    for result in qualification.results:
        for (name, unit), samples in _of(result).items():
            found.setdefault((name, unit), []).extend(_sampled(result, name, unit, samples))
    rank = {name: place for place, name in enumerate(START_TIMES)}
    order = sorted(found, key=lambda key: (rank.get(key[0], len(rank)), *key))
    return tuple(_spread(name, unit, found[name, unit]) for name, unit in order)


def _of(result: CaseResult) -> dict[tuple[str, str], list[tuple[str, float]]]:
    """Return (label, value) of each sample of the last try, by observation and unit, where there is something to draw."""
    found: dict[tuple[str, str], list[tuple[str, float]]] = {}
    asked = {judgement.observation for judgement in result.judgements}
    wanted = asked.union(START_TIMES)
    seen = result.latest.by_name if result.latest else {}
    for name in wanted & seen.keys():
        for sample in seen[name]:
            value = number_of(sample) if sample.unit != "bool" else None
            if value is not None:
                found.setdefault((name, sample.unit), []).append((sample.label, value))
    return {key: samples for key, samples in found.items() if _shown(key[0], samples, asked)}


def _shown(name: str, samples: Sequence[tuple[str, float]], asked: set[str]) -> bool:
    if name in START_TIMES:
        return True
    return name in asked and len(samples) >= LEAST and len({value for _label, value in samples}) > 1


def _sampled(result: CaseResult, name: str, unit: str, samples: Sequence[tuple[str, float]]) -> Iterator[_Sampled]:
    """Yield the case's samples, and those of each label where there are several."""
    judgements = tuple(one for one in result.judgements if one.observation == name)
    limits = tuple(limit for limit in map(_limit, judgements) if limit is not None and limit.unit == unit)
    labels = list(dict.fromkeys(label for label, _value in samples))
    only = labels[0] if len(labels) == 1 else ""
    yield _Sampled(result.case, only, tuple(value for _label, value in samples), judgements, limits)
    for label in labels if len(labels) > 1 else ():
        values = tuple(value for own, value in samples if own == label)
        yield _Sampled(result.case, label or "without a label", values, (), limits)


def _limit(judgement: Judgement) -> Optional[Limit]:
    try:
        return Limit.parse(judgement.limit)
    except DefinitionError:
        return None


def _spread(name: str, unit: str, sampled: Sequence[_Sampled]) -> Spread:
    every = [value for one in sampled for value in one.values]
    largest = max(0.0, *every)
    limits = {limit for one in sampled for limit in one.limits}
    near = [limit.number for limit in limits if 0 <= limit.number <= (FAR * largest or math.inf)]
    scale = Scale(min(0.0, *every), max([largest, *near]) * 1.04 or 1.0)
    shown = sorted(range(len(sampled)), key=lambda place: _urgency(sampled[place]))[:STRIPS]
    drawn = set(shown)
    strips = tuple(_strip(one, unit, scale, drawn=place in drawn) for place, one in enumerate(sampled))
    far = sorted(str(limit) for limit in limits if not scale.low <= limit.number <= scale.high)
    return Spread(name, unit, scale.ticks(), strips, len(sampled) - len(drawn), tuple(far))


def _urgency(one: _Sampled) -> tuple[bool, float]:
    """Return what sorts first what has a limit, then what was slowest."""
    return not one.limits, -max(one.values)


def _strip(one: _Sampled, unit: str, scale: Scale, *, drawn: bool) -> Strip:
    numbers = {name: CRITERIA[name].number(one.values) for name in ("count", "min", "median", "p95", "max")}
    answers = [judgement.answer for judgement in one.judgements]
    limit = next(iter(one.limits), None)
    visible = limit is not None and scale.low <= limit.number <= scale.high
    strip = Strip(
        case=one.case,
        label=one.label,
        numbers=numbers,
        limits=tuple(map(str, one.limits)),
        asked=bool(one.limits),
        answer=next((answer for answer in (Answer.UNMET, Answer.UNKNOWN, Answer.MET) if answer in answers), None),
        drawn=drawn,
        limit_at=scale.at(limit.number) if limit is not None and visible else None,
        marks={name: scale.at(numbers[name]) for name in ("median", "p95", "max")},
        bears=bearing.of_values(one.values, unit, limit)[2],
    )
    if not drawn:
        return strip
    dots = _dots(one.values, scale, limit)
    return strip._replace(dots=dots) if dots else strip._replace(columns=_columns(one.values, scale, limit))


def _beyond(value: float, limit: Optional[Limit]) -> bool:
    return limit is not None and limit.statistic not in {"sum", "count"} and not limit.holds(value)


def _dots(values: Sequence[float], scale: Scale, limit: Optional[Limit]) -> tuple[Dot, ...]:
    """Return a dot for each sample; none at all where they would not fit."""
    if len(values) > DOTS:
        return ()
    levels: Counter[int] = Counter()
    dots = []
    for value in sorted(values):
        at = scale.at(value)
        place = int(at)
        dots.append(Dot(at, levels[place], _beyond(value, limit), f"{value:.4g}"))
        levels[place] += 1
    return tuple(dots) if max(levels.values()) <= LEVELS else ()


def _columns(values: Iterable[float], scale: Scale, limit: Optional[Limit]) -> tuple[Column, ...]:
    width = (scale.high - scale.low) / BINS
    bins: dict[tuple[int, bool], list[float]] = {}
    for value in values:
        place = min(BINS - 1, int((value - scale.low) / width)) if width else 0
        bins.setdefault((place, _beyond(value, limit)), []).append(value)
    most = max(map(len, bins.values()))
    return tuple(
        Column(
            round(100 * place / BINS, 2),
            round(100 / BINS, 2),
            round(len(found) / most, 3),
            over,
            f"{len(found)} from {min(found):.4g} to {max(found):.4g}",
        )
        for (place, over), found in sorted(bins.items())
    )
