# SPDX-License-Identifier: GPL-2.0-or-later
"""
What befell the node in the last part of a campaign whose process is gone, as far as anybody can still tell.

The process copied the kernel log while it lived; where the kernel still runs, its log is read on from there, and where it does not, what
it left behind is collected. A case whose markers are found, in a log without a gap, was watched to its end although nobody said so;
of any other case nothing is known, and it is not taken for clean.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Optional

from avocado_hvqual.campaign import host_watch, parts
from avocado_hvqual.campaign.journal import Journal, Line
from avocado_hvqual.health import crash, events, identity, kmsg, watcher
from avocado_hvqual.wording import counted

Events = dict[Optional[str], list[dict[str, Any]]]


@dataclass
class Words:
    """Events by case (None: between cases), the cases that were watched to their end, and what the operator should know."""

    events: Events = field(default_factory=dict)
    watched: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class _Open(NamedTuple):
    """The cases of which no health was told yet: where their records lie, which of them ended, and from when on nothing was told."""

    logdirs: dict[str, Optional[Path]]
    ended: frozenset[str]
    since: float

    def owed(self) -> tuple[events.Owed, ...]:
        """Return the markers that they owe, by what they wrote themselves."""
        return tuple(
            filter(None, (host_watch.owed_by(case, folder) for case, folder in self.logdirs.items() if folder))
        )


def collect(folder: Path, lines: Sequence[Line]) -> Words:
    """Return the last words of the last part of a campaign; none when its end was written down."""
    part = parts.last(lines)
    if part.closed:
        return Words()
    same_kernel = parts.machine(part.boot_id) == parts.machine(identity.boot())
    open_cases = _open_cases(folder, part)
    records, doubts = _records(folder / part.kernel_log, open_cases.since, same_kernel=same_kernel)
    owed = open_cases.owed()
    health = events.read(records, owed, host_watch.own_cgroups())
    booted = part.lines[0].wall - part.lines[0].mono
    words = Words(host_watch.by_case(health, part.kernel_log, booted))
    missing = {one.case for one in owed for doubt in health.doubts if f"'{one.case}'" in doubt}
    general = [doubt for doubt in health.doubts if not any(f"'{one.case}'" in doubt for one in owed)]
    if not doubts and not general:
        whole = {one.case for one in owed if one.end} if not same_kernel else open_cases.ended
        words.watched = tuple(sorted((open_cases.ended & whole) - missing))
    if not same_kernel:
        boot = parts.machine(part.boot_id)
        copies = tuple(one.kernel_log for one in parts.every(lines) if parts.machine(one.boot_id) == boot)
        context = crash.Context(lines[0].wall, owed, host_watch.own_cgroups(), copies)
        _add(words, crash.collect(folder, part.boot_id, context))
    return words


def _add(words: Words, found: crash.Collected) -> None:
    for case, told in found.events.items():
        words.events.setdefault(case, []).extend(told)
    files = (
        (f"collected what the node left: {counted(len(found.files), 'file')} below evidence/host",)
        if found.files
        else ()
    )
    words.notes = (*files, *found.notes)


def _open_cases(folder: Path, part: parts.Part) -> _Open:
    told = [place for place, line in enumerate(part.lines) if line.kind == "health-state" and line.data["case"] is None]
    after = part.lines[told[-1] + 1 :] if told else part.lines
    logdirs: dict[str, Optional[Path]] = {}
    for line in after:
        if line.kind in {"case-begin", "case-end"}:
            case, logdir = str(line.data["case"]), line.data["logdir"]
            logdirs[case] = folder / logdir if logdir else logdirs.get(case)
    ended = frozenset(str(line.data["case"]) for line in after if line.kind == "case-end")
    return _Open(logdirs, ended, part.lines[told[-1]].mono if told else 0.0)


def _records(copy: Path, since: float, *, same_kernel: bool) -> tuple[list[kmsg.Record], list[str]]:
    """Return the kernel's records since then, from the copy and from the kernel itself, and why they may not be all."""
    if not copy.exists():
        return [], [f"'{copy.name}' is not there."]
    copied = watcher.read_copy(copy)
    more = _from_kernel(copied[-1].seq) if same_kernel and copied else kmsg.Slice()
    doubts = [*_gaps(copied), *more.doubts]
    return [record for record in (*copied, *more.records) if record.seconds > since], doubts


def _gaps(records: Sequence[kmsg.Record]) -> Iterator[str]:
    for one, next_one in zip(records, records[1:]):
        if next_one.seq != one.seq + 1:
            yield f"The copy of the kernel log jumps from record {one.seq} to {next_one.seq}."


def _from_kernel(after: int) -> kmsg.Slice:
    try:
        reader = kmsg.Reader(after)
    except OSError as error:
        return kmsg.Slice(doubts=[f"The kernel log cannot be opened: {error.strerror}."])
    try:
        return reader.read_new()
    finally:
        reader.close()


def write(journal: Journal, words: Words) -> None:
    """Write them into the journal of the campaign, as a part of the one that they are about."""
    for case, found in words.events.items():
        journal.append("health", {"case": case, "events": found})
    for case in words.watched:
        journal.append("health-state", {"case": case, "state": "known", "reason": ""})
