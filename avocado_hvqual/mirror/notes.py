# SPDX-License-Identifier: GPL-2.0-or-later
"""
What a watcher noted beside a journal, and what it means for the host: ``watch.jsonl``, one object a line.

=========  ===================================================================================================================
watching   silence: a watcher began, and so many seconds without a heartbeat are silence to it
silent     since, seconds, lines, case: no heartbeat came; the journal had so many whole lines, and that case ran ("" for none)
heard      seconds, how, gap: a heartbeat came again. connection: the host had gone on all the while; stood-still: it had not, for
           *gap* seconds; rebooted: it is another boot; new-process: only the sender is another one
left       the campaign's process died, its host lives
ended      status: the journal says that the campaign ended
notify     status, message: what the notify command did
=========  ===================================================================================================================

Each line also has ``wall``, by the watcher's own clock.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from avocado_hvqual.journal_reading import Line
from avocado_hvqual.mirror.receiver import NOTES
from avocado_hvqual.model.record import HealthEvent

FIELDS: dict[str, dict[str, tuple[type, ...]]] = {
    "watching": {"silence": (int, float)},
    "silent": {"since": (int, float), "seconds": (int, float), "lines": (int,), "case": (str,)},
    "heard": {"seconds": (int, float), "how": (str,), "gap": (int, float)},
    "left": {},
    "ended": {"status": (str,)},
    "notify": {"status": (int,), "message": (str,)},
}
STOOD = ("stood-still", "rebooted")
HOW = ("connection", "new-process", *STOOD)
HANG = "host-hang"


class Heard(NamedTuple):
    """What a watcher's notes say of the host."""

    events: tuple[HealthEvent, ...] = ()
    doubts: tuple[tuple[str, str], ...] = ()
    damage: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def _wrong(line: Any) -> str:
    """Return what is wrong with one note, empty when nothing is."""
    if not isinstance(line, dict) or line.get("kind") not in [*FIELDS]:
        return f"it is no note of a watcher; the kinds are {', '.join(FIELDS)}"
    fields = {**FIELDS[line["kind"]], "wall": (int, float), "kind": (str,)}
    if set(line) != set(fields):
        return f"a '{line['kind']}' has the fields {', '.join(sorted(fields))}"
    bad = [name for name, kinds in fields.items() if not isinstance(line[name], kinds) or isinstance(line[name], bool)]
    if bad:
        return f"its field '{bad[0]}' is {line[bad[0]]!r:.60}"
    return "" if line["kind"] != "heard" or line["how"] in HOW else f"'how' is none of {', '.join(HOW)}"


def read(folder: Path) -> tuple[list[dict[str, Any]], str]:
    """Return a watcher's notes in their order, and what shows that a line was changed; a torn last line is left out."""
    try:
        text = (folder / NOTES).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return [], ""
    except OSError as error:
        return [], f"{NOTES}:1: cannot be read: {error.strerror}."
    notes: list[dict[str, Any]] = []
    for number, line in enumerate(text.split("\n")[:-1], 1):
        try:
            note = json.loads(line)
            wrong = _wrong(note)
        except (ValueError, RecursionError):
            wrong = "it is not JSON"
        if wrong:
            return notes, f"{NOTES}:{number}: {wrong}."
        notes.append(note)
    return notes, ""


def heard(folder: Path, lines: Sequence[Line]) -> Heard:
    """Return what a watcher's notes beside a journal of these lines say; nothing when nobody watched."""
    notes, damage = read(folder)
    lost = [line.data["reason"] for line in lines if line.kind == "mirror" and line.data["state"] == "lost"]
    often = "once" if len(lost) == 1 else f"{len(lost)} times, the last time"
    told = (f"The mirror was lost {often}: {lost[-1]}",) if lost else ()
    found = Heard(damage=(damage,) if damage else (), notes=told)
    silent: dict[str, Any] = {}
    for note in notes:
        if note["kind"] == "silent":
            silent = note
        elif note["kind"] == "heard" and silent:
            found = _answered(found, silent, note, lines)
            silent = {}
    return _unanswered(found, silent, lines) if silent else found


def _answered(found: Heard, silent: dict[str, Any], note: dict[str, Any], lines: Sequence[Line]) -> Heard:
    length = f"{note['seconds']:.0f} s"
    if note["how"] in STOOD and not _planned(silent, note, lines):
        how = (
            f"it stood still for {note['gap']:.0f} s"
            if note["how"] == "stood-still"
            else "it came back with another boot"
        )
        return _hang(found, silent, f"Nothing was heard of the host for {length}; {how}.")
    why = {
        "connection": "the host went on, and the connection was lost",
        "new-process": "the sender was another process afterwards, and the host had not booted anew",
    }.get(note["how"], "the host booted anew, which was announced")
    return found._replace(notes=(*found.notes, f"The mirror was silent for {length}: {why}."))


def _unanswered(found: Heard, silent: dict[str, Any], lines: Sequence[Line]) -> Heard:
    later = any(line.kind == "campaign-end" for line in lines[silent["lines"] :])
    if later:
        reason = f"A watcher heard nothing for {silent['seconds']:.0f} s and never again, and the campaign ended nevertheless."
        return found._replace(doubts=(*found.doubts, (silent["case"], reason)))
    return _hang(found, silent, f"Nothing was heard of the host for {silent['seconds']:.0f} s, and nothing since.")


def _planned(silent: dict[str, Any], note: dict[str, Any], lines: Sequence[Line]) -> bool:
    """Return whether the host was about to boot anew, as its journal had announced, when it fell silent."""
    before = lines[: silent["lines"]]
    return note["how"] == "rebooted" and bool(before) and before[-1].kind == "reboot-planned"


def _hang(found: Heard, silent: dict[str, Any], message: str) -> Heard:
    during = f" It was silent from '{silent['case']}' on." if silent["case"] else ""
    event = HealthEvent(HANG, f"{message}{during}", NOTES, silent["case"], float(silent["since"]))
    return found._replace(events=(*found.events, event))
