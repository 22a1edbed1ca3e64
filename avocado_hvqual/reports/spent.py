# SPDX-License-Identifier: GPL-2.0-or-later
"""
Where the time went: the seconds of each case by operation, the rest of it, and what passed outside of cases.

Every second counts once: where several steps ran at a time (four guests that start together), for the one that began last.
"""

from __future__ import annotations

import heapq
from collections import Counter
from typing import NamedTuple

from avocado_hvqual.model.observation import CaseTrace
from avocado_hvqual.model.qualification import CaseResult, Qualification

HARNESS = "harness"
BOOT = "start"
"""The operation in which a guest boots."""


class Spent(NamedTuple):
    """The seconds of one case, or of all: by operation, the longest first; `harness` is what no step took."""

    case: str
    seconds: float
    operations: tuple[tuple[str, float], ...]
    harness: float

    @property
    def boot(self) -> float:
        """Seconds in which guests booted."""
        return dict(self.operations).get(BOOT, 0.0)

    @property
    def parts(self) -> tuple[tuple[str, float], ...]:
        """Operations and harness, each with its share of the whole in percent."""
        whole = self.seconds or 1.0
        return tuple((name, 100 * taken / whole) for name, taken in (*self.operations, (HARNESS, self.harness)))


class Account(NamedTuple):
    """The cases, the longest first, their sum, and the campaign's seconds that belong to no case."""

    cases: tuple[Spent, ...]
    total: Spent
    outside: float


def account(qualification: Qualification) -> Account:
    """Return where the campaign's time went; of a campaign whose clock was set back nothing is outside."""
    cases = sorted(filter(lambda one: one.seconds, map(spent, qualification.results)), key=lambda one: -one.seconds)
    sums: Counter[str] = Counter()
    for one in cases:
        sums.update(dict(one.operations))
    seconds = sum(one.seconds for one in cases)
    total = Spent("", seconds, _sorted(sums), sum(one.harness for one in cases))
    whole = qualification.ended_wall - qualification.header.started
    return Account(tuple(cases), total, max(0.0, whole - seconds))


def spent(result: CaseResult) -> Spent:
    """Return the seconds of a case over all its tries."""
    sums: Counter[str] = Counter()
    for trace in result.traces:
        sums.update(by_operation(trace))
    inside = sum(sums.values())
    seconds = max(result.seconds, sum(trace.seconds for trace in result.traces), inside)
    return Spent(result.case, seconds, _sorted(sums), seconds - inside)


def _sorted(sums: Counter[str]) -> tuple[tuple[str, float], ...]:
    return tuple(sorted(sums.items(), key=lambda pair: (-pair[1], pair[0])))


def by_operation(trace: CaseTrace) -> dict[str, float]:
    """Return the seconds of each operation; a step without an end lasts to the test's last sign."""
    spans = [(step.begin, step.end if step.end is not None else trace.mono_last, step.name) for step in trace.steps]
    spans = sorted((begin, end, name) for begin, end, name in spans if end > begin)
    sums: dict[str, float] = {}
    # Of the steps that run, the one that began last is on top; those that have ended are dropped when they come up.
    running: list[tuple[float, float, str]] = []
    now = spans[0][0] if spans else 0.0
    for begin, end, name in [*spans, (float("inf"), float("inf"), "")]:
        while running and now < begin:
            _began, until, on_top = running[0]
            if until <= now:
                heapq.heappop(running)
                continue
            sums[on_top] = sums.get(on_top, 0.0) + min(until, begin) - now
            now = min(until, begin)
        now = max(now, begin)
        heapq.heappush(running, (-begin, end, name))
    return sums
