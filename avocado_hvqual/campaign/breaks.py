# SPDX-License-Identifier: GPL-2.0-or-later
"""
What the break of a campaign brought and nobody could tell in its time, for its process was gone: a reboot, the node's last words.

Known from the journal alone. Looked at is what stands behind the last word on the node's health, or behind the beginning of the case
that ran when the campaign broke; what went before was told by a process that lived. What an ``alarm`` line behind it tells is no news.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Optional

from avocado_hvqual import journal_reading, retelling
from avocado_hvqual.journal_reading import Line
from avocado_hvqual.model.finding import FindingKind
from avocado_hvqual.model.record import Attempt, HealthEvent, Reboot

REBOOT = FindingKind.HOST_REBOOT.value


class News(NamedTuple):
    """What a break brought: reboots, what befell the node, the try that was cut off, and what of it was told already."""

    reboots: tuple[Reboot, ...] = ()
    events: tuple[HealthEvent, ...] = ()
    attempt: Optional[Attempt] = None
    told: frozenset[tuple[str, str]] = frozenset()
    """(case, fingerprint)"""


def of(folder: Path) -> News:
    """Return what the last break of a campaign brought; nothing when it did not go on."""
    lines = journal_reading.read(folder).lines
    places = [place for place, line in enumerate(lines) if line.kind == "continued"]
    if not places:
        return News()
    since = _since(lines[: places[-1]])
    found = retelling.retold(folder, lines)
    behind = lines[since:]
    return News(
        tuple(one for one in found.reboots if one.line > since and _is_news(one, lines)),
        tuple(event for line in behind if line.kind == "health" for event in retelling.events_of(line)),
        next((one for one in reversed(found.attempts) if one.line > since), None),
        frozenset(
            (line.data["case"] or "", line.data["fingerprint"]) for line in _alarms(behind) if _about(line) != REBOOT
        ),
    )


def _since(lines: Sequence[Line]) -> int:
    """Return how many lines were followed by a process that lived."""
    known = [place + 1 for place, line in enumerate(lines) if line.kind == "health-state" and line.data["case"] is None]
    begun = [place for place, line in enumerate(lines) if line.kind == "case-begin"]
    return max([0, *known[-1:], *begun[-1:]])


def _is_news(reboot: Reboot, lines: Sequence[Line]) -> bool:
    return not any(_about(line) == REBOOT for line in _alarms(lines[reboot.line - 1 :]))


def _alarms(lines: Sequence[Line]) -> list[Line]:
    return [line for line in lines if line.kind == "alarm"]


def _about(line: Line) -> str:
    return str(line.data["kind"])
