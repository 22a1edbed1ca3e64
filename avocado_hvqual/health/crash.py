# SPDX-License-Identifier: GPL-2.0-or-later
"""
What a node that died left about it: pstore, the previous boot's kernel log, /var/crash.

``collect(folder, boot, Context(began, ...))`` copies them into the campaign's evidence, bounded, and says what they tell. Nothing is
cleared or changed where it lies (decision 11). A line that one of the campaign's copies of the kernel log has (each part of a campaign
wrote its own), or that was collected before, tells nothing new, so that a campaign may be resumed many times.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from dataclasses import replace as changed
from pathlib import Path
from typing import Any, NamedTuple, Optional

from avocado_hvqual.health import copies, events, kernel_text, marker, patterns, watcher
from avocado_hvqual.health.kernel_text import Told
from avocado_hvqual.health.left_behind import Entry, Roots, Sources

EVIDENCE = "evidence/host"
_HEADER = re.compile(r"(Panic|Oops|Emergency)#\d+ Part\d+")
_LINE = tuple[int, str]
_VMCORE = re.compile(r"(^|/)(vmcore|dump\.)[^/]*\Z")
_APPORT = re.compile(r"qemu|libvirt")


@dataclass
class Collected:
    """What was found: events by case as the journal's line ``health`` holds them (None: between cases), files, and what is missing."""

    events: dict[Optional[str], list[dict[str, Any]]] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """Sentences: what is not there, cannot be read, was cut."""

    def add(self, case: Optional[str], kind: str, message: str, evidence: str, wall: Optional[float] = None) -> None:
        """Add one event."""
        event: dict[str, Any] = {"kind": kind, "message": message, "evidence": evidence}
        self.events.setdefault(case, []).append(event if wall is None else {**event, "wall": wall})


@dataclass(frozen=True)
class Context:
    """
    What is known of the campaign: when it began (seconds since the epoch), whose markers to look for, which cgroups are its node's.

    And which of its copies of the kernel log are of the boot that is asked for: a line that carries no time is known by these alone.
    """

    began: float = 0.0
    owed: tuple[events.Owed, ...] = ()
    own_cgroups: tuple[str, ...] = ()
    copies: tuple[str, ...] = (copies.FIRST,)


@dataclass(frozen=True)
class _Line:
    """One line of a kernel log and the file of the evidence that has it."""

    told: Told
    evidence: str

    @property
    def known_as(self) -> _LINE:
        return self.told.record.usec, self.told.record.text


def collect(
    folder: Path,
    boot: str,
    context: Context = Context(),
    roots: Roots = Roots(),  # noqa: B008 - frozen
) -> Collected:
    """
    Return what the node left of the boot *boot* (the journal's boot id), with copies in ``evidence/host/<n>`` of the campaign's folder.

    A crash record older than the campaign tells nothing. With the markers that its cases owe, a line is attributed to the case whose
    marker stands before it. Never raises for what it finds.
    """
    found = Collected()
    seen = _seen(folder, context.copies)
    sources = Sources(folder, _next(folder), roots, context.began)
    lines = [_Line(told, path) for path, told in sources.kernel_log(boot, tuple(case.case for case in context.owed))]
    entries = list(sources.pstore())
    for entry in entries:
        lines += [_Line(told._replace(wall=entry.mtime), entry.copy) for told in kernel_text.dmesg(entry.text)]
    dumps = list(sources.crash())
    for entry in dumps:
        if "dmesg" in Path(entry.name).name:
            lines += [_Line(told, entry.copy) for told in kernel_text.dmesg(entry.text)]
    _tell_lines(found, _unseen(lines, seen), context)
    _tell_headers(found, entries)
    _tell_dumps(found, dumps)
    found.files, found.notes = sources.files, sources.notes
    return found


class _Seen(NamedTuple):
    """What is known already: lines by time and text, and by text alone."""

    lines: set[_LINE]
    texts: set[str]


def _seen(folder: Path, of_this_boot: Sequence[str]) -> _Seen:
    """Return the lines that the campaign's copies of the kernel log have, and those that were collected before."""
    known: set[_LINE] = set()
    texts: set[str] = set()
    for copy in copies.every(folder):
        records = watcher.read_copy(copy)
        known |= {(record.usec, record.text) for record in records}
        texts |= {record.text for record in records} if copy.name in of_this_boot else set()
    before: set[_LINE] = set()
    for path in sorted((folder / EVIDENCE).glob("*/**/*")):
        if path.is_file() and not path.is_symlink():
            text = path.read_text(encoding="utf-8", errors="replace")
            before |= {(told.record.usec, told.record.text) for told in kernel_text.dmesg(text)}
    return _Seen(known | before, texts | {text for _usec, text in before})


def _next(folder: Path) -> str:
    numbers = [int(path.name) for path in (folder / EVIDENCE).glob("*") if path.name.isdigit()]
    return f"{EVIDENCE}/{max(numbers, default=0) + 1:04d}"


def _unseen(lines: Sequence[_Line], seen: _Seen) -> list[_Line]:
    """Return the lines in the kernel's order, each once, without those that are known; markers stay, for they say whose a line is."""
    every: dict[_LINE, _Line] = {}
    for line in lines:
        every.setdefault(line.known_as, line)
    kept = [one for one in every.values() if marker.of(one.told.record) or not _is_known(one, seen)]
    return sorted(kept, key=lambda one: one.told.record.usec)


def _is_known(line: _Line, seen: _Seen) -> bool:
    timeless = line.told.record.usec == kernel_text.UNKNOWN
    return line.known_as in seen.lines or (timeless and line.told.record.text in seen.texts)


def _tell_lines(found: Collected, lines: list[_Line], context: Context) -> None:
    records = [changed(line.told.record, seq=number) for number, line in enumerate(lines)]
    health = events.read(records, context.owed, context.own_cgroups)
    for event in health.events:
        if not event.elsewhere:
            source = lines[event.seq]
            found.add(event.case, event.kind, event.message, source.evidence, source.told.wall)


def _tell_headers(found: Collected, entries: Sequence[Entry]) -> None:
    """Tell of a pstore record that calls itself a panic and holds no line that any pattern knows."""
    panics = [event for told in found.events.values() for event in told if event["kind"] == "host-panic"]
    for entry in entries:
        header = _HEADER.match(entry.text)
        if header and entry.is_new and not panics and not _bad(entry.text):
            message = f"The host's firmware kept a record of a kernel that died ('{header[0]}' in '{entry.name}')."
            found.add(None, "host-panic", message, entry.copy, entry.mtime)
            return


def _bad(text: str) -> bool:
    return any(patterns.classify(told.record) for told in kernel_text.dmesg(text))


def _tell_dumps(found: Collected, dumps: Sequence[Entry]) -> None:
    for entry in _new_dumps(dumps):
        name = Path(entry.name).name
        if _VMCORE.search(entry.name):
            message = f"The host's kernel died and left a dump: '{entry.name}', {entry.size} bytes."
            found.add(None, "host-panic", message, entry.listing, entry.mtime)
        elif name.endswith(".crash") and _APPORT.search(name):
            kind = "qemu-crash" if "qemu" in name else "host-log"
            message = f"A program of the virtualisation crashed on the host: '{entry.name}'."
            found.add(None, kind, message, entry.copy or entry.listing, entry.mtime)


def _new_dumps(dumps: Sequence[Entry]) -> Iterator[Entry]:
    for entry in dumps:
        if entry.is_new:
            yield entry


__all__ = ["Collected", "Context", "Roots", "collect"]
