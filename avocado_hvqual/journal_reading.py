# SPDX-License-Identifier: GPL-2.0-or-later
"""
A campaign's journal as it is found: a hash chain of lines, whatever a crash or a hand did to it.

`read(folder)` gives `Reading(lines, damage, torn)` and never raises for the content: each sentence of `damage` names the line. A line
is `{"seq", "prev", "kind", "wall", "mono", "boot_id", "data", "hash"}`; `hash` is SHA-256 over the canonical line (sorted keys, no
blanks) without `hash`, `prev` the hash before it (64 zeros first). The kinds and their data are in `journal_kinds`.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from avocado_hvqual import journal_kinds
from avocado_hvqual.errors import JournalError

FILE = "journal.jsonl"
FIRST = "0" * 64
_KEYS = {"seq", "prev", "kind", "wall", "mono", "boot_id", "data", "hash"}


@dataclass(frozen=True)
class Line:
    """One whole line; `number` is its place in the file, from 1."""

    number: int
    kind: str
    wall: float
    mono: float
    boot_id: str
    data: dict[str, Any]
    hash: str


@dataclass(frozen=True)
class Reading:
    """A journal as it was found: what can be believed, and what shows that the rest cannot."""

    lines: tuple[Line, ...]
    damage: tuple[str, ...]
    torn: str = ""
    """A last line that is not whole: what a killed writer leaves, no damage."""


def canonical(line: dict[str, Any]) -> str:
    """Return the one text of a line."""
    return json.dumps(line, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(line: dict[str, Any]) -> str:
    """Return the hash of a line, over everything but the hash."""
    return hashlib.sha256(canonical({k: v for k, v in line.items() if k != "hash"}).encode()).hexdigest()


def _refuse_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse an object that names a key twice: the hash would cover only the last of them."""
    line = dict(pairs)
    if len(line) != len(pairs):
        message = "a key stands twice"
        raise ValueError(message)
    return line


def _check(text: str, number: int, prev: str) -> tuple[Optional[Line], str]:
    """Return the line and an empty text, or what shows that it was not written so."""
    try:
        raw = json.loads(text, object_pairs_hook=_refuse_twice)
        if not isinstance(raw, dict) or set(raw) != _KEYS:
            return None, "it is not a line of a journal"
        if canonical(raw) != text or digest(raw) != raw["hash"]:
            return None, "its hash does not match its text: it was changed"
        if raw["seq"] != number - 1 or raw["prev"] != prev:
            return None, "it does not follow the line before it: a line was removed, doubled or moved"
        wrong = journal_kinds.wrong_with(raw["kind"], raw["data"])
        line = Line(
            number, raw["kind"], float(raw["wall"]), float(raw["mono"]), str(raw["boot_id"]), raw["data"], raw["hash"]
        )
    except (ValueError, TypeError, RecursionError):
        return None, "it is not a line of a journal"
    return (None, "; ".join(wrong)) if wrong else (line, "")


def read(folder: Path) -> Reading:
    """
    Return the journal of a campaign's folder. JournalError only when there is none that can be opened.

    After the first damaged line nothing is believed: a hash chain says that something was changed, not what is still true.
    """
    path = folder / FILE
    try:
        content = path.read_bytes()
    except OSError as error:
        message = f"{path}:1: cannot be read: {error.strerror}. Is '{folder}' the folder of a campaign?"
        raise JournalError(message) from error
    *whole, tail = content.decode("utf-8", "surrogateescape").split("\n")
    lines: list[Line] = []
    prev = FIRST
    for number, text in enumerate(whole, start=1):
        line, wrong = _check(text, number, prev)
        if line is None:
            return Reading(tuple(lines), (f"{path.name}:{number}: {wrong}.",), tail)
        lines.append(line)
        prev = line.hash
    damage = () if lines and lines[0].kind == "campaign" else (f"{path.name}:1: there is no line 'campaign'.",)
    return Reading(tuple(lines), damage, tail)
