# SPDX-License-Identifier: GPL-2.0-or-later
"""The tries of a campaign's cases in the order in which they were made, each with what its test wrote down."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, Optional

from avocado_hvqual import observations
from avocado_hvqual.errors import JournalError
from avocado_hvqual.model.observation import CaseTrace
from avocado_hvqual.model.record import Attempt


class Job(NamedTuple):
    """An avocado job: its folder, the build that it ran on, and after how many continuations of the campaign it ran."""

    folder: str
    build: int = 0
    part: int = 0


NO_JOB = (Job("."),)
"""A plain avocado job writes its journal into its own folder."""


def in_order(folder: Path, told: Sequence[Attempt], starts: Sequence[int], jobs: Sequence[Job]) -> tuple[Attempt, ...]:
    """
    Return every try: those that the journal tells, and those of which only the test itself wrote.

    `starts` has the place in *told* at which each part of the campaign begins (one a continuation). What only the test wrote was the
    last thing of its part: the kill that hid it from the journal ended that part.
    """
    ends = [*starts[1:], len(told)]
    heard = {os.path.normpath(folder / attempt.logdir) for attempt in told if attempt.logdir}
    unheard = list(_unheard(folder, jobs or NO_JOB, heard))
    found: list[Attempt] = []
    for part, (start, end) in enumerate(zip(starts, ends)):
        found.extend(_traced(folder, attempt) for attempt in told[start:end])
        found.extend(attempt for of, attempt in unheard if of == part)
    return tuple(found)


def _traced(folder: Path, attempt: Attempt) -> Attempt:
    """Return the attempt with what its test wrote, if it wrote anything."""
    if not attempt.logdir or not (folder / attempt.logdir / observations.FILE).exists():
        return attempt
    trace, damage = _trace(folder, attempt.logdir)
    if trace is not None and trace.case != attempt.case:
        damage = f"{attempt.logdir}/{observations.FILE}:1: belongs to the case '{trace.case}', not to '{attempt.case}'."
        trace = None
    return replace(attempt, trace=trace, damage=damage)


def _trace(folder: Path, logdir: str) -> tuple[Optional[CaseTrace], str]:
    path = folder / logdir / observations.FILE
    try:
        return observations.read(path, logdir), ""
    except JournalError as error:
        return None, str(error).replace(str(path), f"{logdir}/{observations.FILE}")


def _unheard(folder: Path, jobs: Sequence[Job], heard: set[str]) -> Iterator[tuple[int, Attempt]]:
    """Yield (part, try) of which only the test itself wrote: avocado's start event is no barrier, a kill may come before it."""
    seen = set(heard)
    for job in jobs:
        for path in sorted((folder / job.folder / "test-results").glob(f"*/{observations.FILE}")):
            if os.path.normpath(path.parent) in seen:
                continue
            seen.add(os.path.normpath(path.parent))
            logdir = os.path.relpath(path.parent, folder)
            trace, damage = _trace(folder, logdir)
            if trace is not None or damage:
                case = trace.case if trace else ""
                yield job.part, Attempt(case, None, 0, logdir=logdir, trace=trace, damage=damage, build=job.build)
