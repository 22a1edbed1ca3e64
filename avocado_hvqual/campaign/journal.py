# SPDX-License-Identifier: GPL-2.0-or-later
"""
The journal of one campaign: append-only, hash-chained, on disk before the writer goes on (decision 17).

``Journal.create(folder, header)`` begins one (*header* is the data of the line `campaign`), ``Journal.open(folder)`` goes on after a
crash, ``.append(kind, data)`` adds a line, ``.close()`` (or a with-block) ends. ``read(folder)`` gives ``Reading(lines, damage,
torn)`` and never raises for what a crash or a hand did to the file: each sentence of `damage` names the line. The kinds and
their data are in `campaign.kinds`.

A line is ``{"seq", "prev", "kind", "wall", "mono", "boot_id", "data", "hash"}``; `hash` is SHA-256 over the canonical line (sorted
keys, no blanks) without `hash`, `prev` the hash before it (64 zeros first).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Optional

from avocado_hvqual.campaign import kinds
from avocado_hvqual.errors import JournalError

FILE = "journal.jsonl"
TORN = "journal.torn"
"""Torn tails are kept here, in order: a crash loses nothing that reached the disk."""

FIRST = "0" * 64
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
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
        wrong = kinds.wrong_with(raw["kind"], raw["data"])
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


class Journal:
    """The writer's side; one at a time (a second one is refused), safe to use from several threads."""

    def __init__(self, folder: Path, descriptor: int, seq: int, prev: str) -> None:
        """Use `create` or `open`."""
        self.folder = folder
        self._descriptor = descriptor
        self._seq = seq
        self._prev = prev
        self._size = os.lseek(descriptor, 0, os.SEEK_END)
        self._lock = threading.Lock()
        self._boot_id = BOOT_ID.read_text(encoding="ascii").strip()

    @classmethod
    def create(cls, folder: Path, header: dict[str, Any]) -> Journal:
        """Begin the journal of a campaign in *folder*, which must not have one; JournalError otherwise."""
        path = folder / FILE
        try:
            folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            _sync_folder(folder)
        except OSError as error:
            message = f"{path}:1: cannot be created: {error.strerror}. Give a folder that holds no campaign yet."
            raise JournalError(message) from error
        journal = cls._locked(folder, descriptor, 0, FIRST)
        journal.append("campaign", header)
        return journal

    @classmethod
    def open(cls, folder: Path) -> Journal:
        """
        Go on with the journal in *folder*; a torn tail is put aside into journal.torn first.

        JournalError when there is none, when somebody else writes to it, or when it is damaged: nothing is built on that.
        """
        path = folder / FILE
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        except OSError as error:
            message = f"{path}:1: cannot be opened: {error.strerror}. Is '{folder}' the folder of a campaign?"
            raise JournalError(message) from error
        journal = cls._locked(folder, descriptor, 0, FIRST)
        try:
            journal._go_on()  # noqa: SLF001 - its own method
        except OSError as error:
            journal.close()
            message = f"{path}:1: cannot be continued: {error.strerror}."
            raise JournalError(message) from error
        except JournalError:
            journal.close()
            raise
        return journal

    def _go_on(self) -> None:
        reading = read(self.folder)
        if reading.damage:
            message = f"{self.folder}/{reading.damage[0]} A journal that was changed is not continued; start a new campaign."
            raise JournalError(message)
        self._put_aside(reading.torn)
        self._seq, self._prev = len(reading.lines), reading.lines[-1].hash

    @classmethod
    def _locked(cls, folder: Path, descriptor: int, seq: int, prev: str) -> Journal:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            message = f"{folder / FILE}:1: is being written by another process. Wait for that campaign to end."
            raise JournalError(message) from error
        return cls(folder, descriptor, seq, prev)

    def _put_aside(self, torn: str) -> None:
        """Keep the torn tail in a file of its own, on disk before the journal is cut."""
        if not torn:
            return
        data = torn.encode("utf-8", "surrogateescape")
        with (self.folder / TORN).open("ab") as aside:
            aside.write(data + b"\n")
            aside.flush()
            os.fsync(aside.fileno())
        _sync_folder(self.folder)
        self._size -= len(data)
        os.ftruncate(self._descriptor, self._size)
        os.fsync(self._descriptor)

    def append(self, kind: str, data: dict[str, Any]) -> None:
        """
        Add one line; it is on disk when this returns.

        JournalError when the data is not what *kind* holds, or when the disk refuses: then the journal is as it was before.
        """
        wrong = kinds.wrong_with(kind, data)
        if wrong:
            message = f"{self.folder / FILE}:{self._seq + 1}: {'; '.join(wrong)}. Nothing was written."
            raise JournalError(message)
        with self._lock:
            line = {
                "seq": self._seq,
                "prev": self._prev,
                "kind": kind,
                "wall": time.time(),
                "mono": time.monotonic(),
                "boot_id": self._boot_id,
                "data": data,
            }
            try:
                line["hash"] = digest(line)
                self._write((canonical(line) + "\n").encode("utf-8", "surrogateescape"))
            except (ValueError, TypeError) as error:
                message = f"{self.folder / FILE}:{self._seq + 1}: the data of '{kind}' is not JSON ({error}). Nothing was written."
                raise JournalError(message) from error
            self._seq, self._prev = self._seq + 1, str(line["hash"])

    def _write(self, data: bytes) -> None:
        try:
            written = os.write(self._descriptor, data)
            while written < len(data):
                written += os.write(self._descriptor, data[written:])
            os.fsync(self._descriptor)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
            message = f"{self.folder / FILE}:{self._seq + 1}: cannot be written: {error.strerror}. Make room, then resume the campaign."
            raise JournalError(message) from error
        self._size += len(data)

    def close(self) -> None:
        """Let go of the file; a closed journal takes no line."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Journal:  # noqa: PYI034 - typing.Self came with Python 3.11
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
