# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel log says about the node, each event with the case during which it came."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Optional

from avocado_hvqual.health import marker, patterns
from avocado_hvqual.health.kmsg import Record

CGROUP = re.compile(r"\boom-kill:.*?\btask_memcg=([^,]+)")
OOM_PID = re.compile(r"\bpid=(\d+)|Killed process (\d+)")


@dataclass(frozen=True)
class Event:
    """Something bad that the host's log says: kind of finding, case key or None between cases, the first line and how many came."""

    kind: str
    name: str
    case: Optional[str]
    line: str
    seq: int
    seconds: float
    count: int = 1
    elsewhere: bool = False
    """True when the log itself says that it befell something outside this node (an OOM kill in a foreign cgroup)."""

    @property
    def message(self) -> str:
        """One sentence for the report."""
        when = f"during '{self.case}'" if self.case else "between cases"
        more = f" ({self.count} such lines)" if self.count > 1 else ""
        where = " It concerns something outside this node." if self.elsewhere else ""
        return f"The host's kernel reported {self.name} {when}: '{self.line}'{more}.{where}"


@dataclass
class Health:
    """The kernel's side of the node's health: events, and the reasons for which it is not known."""

    events: list[Event] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)

    @property
    def state(self) -> str:
        """``unknown`` outranks ``bad`` outranks ``clean``: silence of a broken channel is never clean."""
        if self.doubts:
            return "unknown"
        return "bad" if any(not event.elsewhere for event in self.events) else "clean"


@dataclass(frozen=True)
class Owed:
    """A case that ran, with the markers that it must have left: begin always, end when it came to its end."""

    case: str
    end: bool
    token: Optional[str] = None
    """The token that the test itself wrote down; with None any marker of the case counts."""

    def owns(self, mark: marker.Marker) -> bool:
        """Return whether the marker is this run's: several campaigns may write to one kernel log at a time."""
        return mark.subject == self.case and self.token in {None, mark.token}


def _foreign_pids(records: list[Record], own_cgroups: tuple[str, ...]) -> set[str]:
    """
    Return the pids of OOM victims that the log places in a cgroup outside ours.

    When the whole machine ran out of memory (``global_oom``) it is ours wherever the victim lived.
    """
    foreign = set()
    for record in records:
        found, pid = CGROUP.search(record.text), OOM_PID.search(record.text)
        if not (found and pid and own_cgroups) or "global_oom" in record.text:
            continue
        if not any(_below(found.group(1), own) for own in own_cgroups):
            foreign.add(pid.group(1) or pid.group(2))
    return foreign


def _below(path: str, own: str) -> bool:
    return path == own or path.startswith(f"{own.rstrip('/')}/")


def _group(events: list[Event]) -> list[Event]:
    groups: dict[tuple[str, Optional[str], bool], Event] = {}
    for event in events:
        key = (event.name, event.case, event.elsewhere)
        first = groups.get(key)
        groups[key] = event if first is None else Event(**{**vars(first), "count": first.count + 1})
    return list(groups.values())


def _missing(seen: set[tuple[str, str]], owed: tuple[Owed, ...]) -> list[str]:
    doubts = []
    for case in owed:
        if ("begin", case.case) not in seen:
            doubts.append(
                f"The marker that '{case.case}' began is not in the kernel log, so what the host said during it is not known."
            )
        if case.end and ("end", case.case) not in seen:
            doubts.append(
                f"The marker that '{case.case}' ended is not in the kernel log, so what the host said during it is not known."
            )
    return doubts


def read(records: list[Record], owed: tuple[Owed, ...] = (), own_cgroups: tuple[str, ...] = ()) -> Health:
    """
    Return what the records say, each event attributed to the case whose markers stand around it.

    ``own_cgroups`` are the cgroup paths of this node; with none given every OOM kill counts. A case that was killed has no end
    marker: what follows is its own until the next case begins. Markers of cases that are not owed are another campaign's.
    """
    health, running, events = Health(), None, []
    seen: set[tuple[str, str]] = set()
    foreign = _foreign_pids(records, own_cgroups)
    for record in records:
        mark = marker.of(record)
        if mark is not None:
            if any(case.owns(mark) for case in owed):
                seen.add((mark.what, mark.subject))
                running = _next(running, mark)
            continue
        if patterns.SUPPRESSED.search(record.text):
            health.doubts.append(f"The kernel held lines of its log back: '{record.text}'.")
        pattern = patterns.classify(record)
        if pattern is not None:
            events.append(
                Event(
                    pattern.kind,
                    pattern.name,
                    running,
                    record.text,
                    record.seq,
                    record.seconds,
                    elsewhere=_is_foreign(record, foreign),
                )
            )
    health.events = _group(events)
    health.doubts.extend(_missing(seen, owed))
    return health


def _next(running: Optional[str], mark: marker.Marker) -> Optional[str]:
    if mark.what == "begin":
        return mark.subject
    if mark.what == "end" and mark.subject == running:
        return None
    return running


def _is_foreign(record: Record, foreign: set[str]) -> bool:
    pid = OOM_PID.search(record.text)
    return pid is not None and (pid.group(1) or pid.group(2)) in foreign and patterns.classify(record) is not None
