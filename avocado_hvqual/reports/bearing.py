# SPDX-License-Identifier: GPL-2.0-or-later
"""
What the samples of a case can bear: how rare a failure is when none was seen, and between what a percentile lies, at 95 %.

A limit that is met says something of what was seen; this says what may be said of what was not. The samples are taken as independent,
which rounds of one case on one node are only in part.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Optional

from avocado_hvqual import statistics
from avocado_hvqual.criteria import CRITERIA
from avocado_hvqual.errors import DefinitionError
from avocado_hvqual.limits import COMPARATORS, Limit
from avocado_hvqual.model.qualification import CaseResult, Qualification
from avocado_hvqual.reports import numbers

EACH = ("all", "max", "min")
"""The statistics that one sample can break: each sample is a try."""
LEAST = 2
SPREAD = 3
"""Of fewer samples, or of samples that are all the same, no percentile is told."""
TRIES = "tries of the case"
ATTEMPTED = ("PASS", "FAIL")


class Claim(NamedTuple):
    """What the samples of one observation say of more than themselves."""

    observation: str
    unit: str
    samples: int
    limit: str
    failures: Optional[int]
    """Samples beyond the limit; None where no single sample can be."""
    percentiles: dict[str, float]
    sentence: str

    def document(self) -> dict[str, Any]:
        """Return the claim as plain data."""
        return self._asdict()


def of_values(
    values: Sequence[float], unit: str, limit: Optional[Limit]
) -> tuple[Optional[int], dict[str, float], str]:
    """Return how many values break the limit, the percentiles, and both with their intervals in words; empty for too few."""
    said, percentiles, failures = [], {}, None
    if len(values) >= SPREAD and len(set(values)) > 1 and unit != "bool":
        ordered = sorted(values)
        percentiles = {name: CRITERIA[name].number(ordered) for name in statistics.PERCENTILES}
        said.append(statistics.percentile_words(ordered, percentiles, unit))
    if limit is not None and limit.statistic in EACH and len(values) >= LEAST:
        holds, number = COMPARATORS[limit.comparator], limit.number
        failures = sum(1 for value in values if not holds(value, number))
        said.append(statistics.rate_words(failures, len(values), f"beyond '{limit}'"))
    return failures, percentiles, "; ".join(said)


def of_case(result: CaseResult) -> Iterator[Claim]:
    """Yield what a case's last try says for each of its limits, and what its tries say of one another."""
    asked = {judgement.observation for judgement in result.judgements}
    seen: dict[tuple[str, str], list[float]] = {}
    samples = result.latest.by_name if result.latest else {}
    for name in asked & samples.keys():
        for sample in samples[name]:
            value = numbers.number_of(sample)
            if value is not None:
                seen.setdefault((name, sample.unit), []).append(value)
    for judgement in result.judgements:
        limit = _limit(judgement.limit)
        values = seen.get((judgement.observation, limit.unit), []) if limit else []
        if limit is None or not values:
            continue
        failures, percentiles, words = of_values(values, limit.unit, limit)
        if words:
            sentence = f"'{judgement.observation}': {words}."
            yield Claim(judgement.observation, limit.unit, len(values), str(limit), failures, percentiles, sentence)
    yield from _tries(result)


def _tries(result: CaseResult) -> Iterator[Claim]:
    tried = [status for status in result.attempts if status in ATTEMPTED]
    if len(tried) >= LEAST:
        failed = tried.count("FAIL")
        sentence = f"{TRIES[0].upper()}{TRIES[1:]}: {statistics.rate_words(failed, len(tried), 'failed')}."
        yield Claim(TRIES, "count", len(tried), "", failed, {}, sentence)


def _limit(text: str) -> Optional[Limit]:
    try:
        return Limit.parse(text)
    except DefinitionError:
        return None


Claims = dict[str, tuple[Claim, ...]]
_latest: list[tuple[weakref.ReferenceType[Qualification], Claims]] = []


def of(qualification: Qualification) -> Claims:
    """Return the claims of each case that has some; several reports of one qualification ask once."""
    if _latest and _latest[0][0]() is qualification:
        return _latest[0][1]
    claims = {result.case: tuple(of_case(result)) for result in qualification.results}
    found = {case: told for case, told in claims.items() if told}
    _latest[:] = [(weakref.ref(qualification), found)]
    return found
