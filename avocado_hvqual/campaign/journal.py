# SPDX-License-Identifier: GPL-2.0-or-later
"""
The journal of one campaign: append-only, hash-chained, on disk before the writer goes on (decision 17).

``Journal.create(folder, header)`` begins one (*header* is the data of the line ``campaign``), ``Journal.open(folder)`` goes on after a
crash, ``.append(kind, data)`` adds a line, ``.close()`` (or a with-block) ends. The format and its reader are in `journal_reading`
(``read(folder)``, here too), the kinds and their data in `journal_kinds`; `loader.load_campaign` makes a record of it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Optional

from avocado_hvqual import journal_kinds
from avocado_hvqual.errors import JournalError
from avocado_hvqual.health import identity
from avocado_hvqual.journal_reading import FILE, FIRST, Line, Reading, canonical, digest, read

TORN = "journal.torn"
"""Torn tails are kept here, in order: a crash loses nothing that reached the disk."""


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
        self._boot_id = identity.boot()

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
            message = (
                f"{self.folder}/{reading.damage[0]} A journal that was changed is not continued; start a new campaign."
            )
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
        wrong = journal_kinds.wrong_with(kind, data)
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

    def __enter__(self) -> Journal:
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


__all__ = ["FILE", "FIRST", "TORN", "Journal", "Line", "Reading", "read"]
