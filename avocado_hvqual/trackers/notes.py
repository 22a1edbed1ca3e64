# SPDX-License-Identifier: GPL-2.0-or-later
"""
What this desk has sent to a tracker, one small file for each fingerprint, written and fsynced before and after each sending.

A note that says "begun" and no more is a process that was killed, or an answer that never came: nobody knows yet whether the tracker
has it, and `filing` asks before it sends again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Optional
from urllib.parse import urlsplit

from avocado_hvqual.errors import DefinitionError, TrackerError
from avocado_hvqual.load import document
from avocado_hvqual.wait import WaitTimeoutError, until

FORMAT = 1
HOME_VARIABLE, DEFAULT_HOME = "AVOCADO_HVQUAL_HOME", "/var/lib/avocado-hvqual"
LOCK_SECONDS = 60.0


def default_folder() -> Path:
    """Return where the notes of this desk lie when nobody says otherwise."""
    return Path(os.environ.get(HOME_VARIABLE) or DEFAULT_HOME) / "bugs"


@dataclass
class Note:
    """One fingerprint on one server."""

    server: str
    fingerprint: str
    bug: Optional[int] = None
    begun: Optional[float] = None
    """Seconds since the epoch at which a filing began that has not come to its end."""
    sightings: dict[str, Optional[float]] = field(default_factory=dict)
    """By its line: None when the tracker is told, else the seconds since the epoch at which the telling began."""


class Notes:
    """The notes on one server."""

    def __init__(self, folder: Path, server: str) -> None:
        """Name the folder; nothing is made before something is written."""
        host = re.sub(r"[^a-z0-9.-]", "-", (urlsplit(server).hostname or "server").lower())
        self.server = server
        self.folder = folder / f"{host}-{hashlib.sha256(server.encode()).hexdigest()[:8]}"

    def read(self, fingerprint: str) -> Note:
        """Return the note on *fingerprint*, an empty one when there is none; TrackerError for one that cannot be believed."""
        path = self._path(fingerprint)
        try:
            if not path.exists():
                return Note(self.server, fingerprint)
            data = dict(document(path, "bug_note").data)
        except DefinitionError as error:
            message = f"{error} It is this desk's note of what was filed: look on the server for '{fingerprint}', then remove the file."
            raise TrackerError(message) from error
        except OSError as error:
            raise self._trouble(error) from error
        data.pop("format")
        note = Note(**data)
        if (note.server, note.fingerprint) != (self.server, fingerprint):
            message = (
                f"{path}:1: is a note on '{note.fingerprint}' at '{note.server}', which belongs under another name."
            )
            raise TrackerError(message)
        return note

    def write(self, note: Note) -> None:
        """Write *note*; when this returns it has reached the disk."""
        path = self._path(note.fingerprint)
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        text = json.dumps({"format": FORMAT, **asdict(note)}, indent=1, sort_keys=True) + "\n"
        try:
            with partial.open("w", encoding="ascii") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            partial.replace(path)
            _fsync_folder(path.parent)
        except OSError as error:
            raise self._trouble(error) from error
        finally:
            partial.unlink(missing_ok=True)

    @contextmanager
    def hold(self, fingerprint: str) -> Iterator[Note]:
        """Give the note on *fingerprint* to this process alone for the length of the block."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            stream = (self.folder / f".{fingerprint}.lock").open("w", encoding="ascii")
        except OSError as error:
            raise self._trouble(error) from error
        with stream:
            try:
                until(lambda: _locked(stream), LOCK_SECONDS, f"another process to end with '{fingerprint}'")
            except WaitTimeoutError as error:
                raise TrackerError(str(error)) from error
            yield self.read(fingerprint)

    def _path(self, fingerprint: str) -> Path:
        return self.folder / f"{fingerprint}.json"

    def _trouble(self, error: OSError) -> TrackerError:
        return TrackerError(
            f"The notes of what is filed cannot be kept in '{self.folder}' ({error.strerror}), and without them nothing is sent; "
            "give another folder with --notes."
        )


def _locked(stream: IO[str]) -> bool:
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
