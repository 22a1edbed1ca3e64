# SPDX-License-Identifier: GPL-2.0-or-later
"""
What `node prepare` changed, on disk before it is changed, so that `node restore` can take it back, also after a crash or a reboot.

It is not the undo log of the tests: what that holds is put back at the next chance, because a test's change must not outlive the
test. What prepares a node is meant to stay until somebody asks for the node as it was.
"""

from __future__ import annotations

import fcntl
import json
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Optional

from avocado_hvqual.errors import HvqualError
from avocado_hvqual.preparation.model import Defect, Remedy

FORMAT = 1
BEFORE = "before.json"
LOCK = "lock"
BROKEN = "{path} is no entry of a preparation: {why}. Look what it was about, put it back by hand, then delete it."


@dataclass(frozen=True)
class OldFile:
    """What stood in a file before a remedy wrote it (*text* None: there was none), and what the remedy wrote."""

    path: str
    new: str
    text: Optional[str]
    mode: int
    folders: tuple[str, ...] = ()


@dataclass(frozen=True)
class Entry:
    """One remedy that was applied, or was about to be when the machine died."""

    check: str
    subject: str
    summary: str
    undo: tuple[tuple[str, ...], ...]
    irreversible: str
    files: tuple[OldFile, ...]
    expected: Mapping[str, Any]
    path: Optional[Path] = None


class Journal:
    """The journal of one host: a folder with a file for each remedy, and the node's state before the first of them."""

    def __init__(self, home: Path, host_id: str) -> None:
        self.folder = home / "prepare" / host_id

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep a second `prepare` or `restore` away; HvqualError when there is one."""
        _make(self.folder)
        with (self.folder / LOCK).open("w", encoding="utf-8") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                message = f"Another 'node prepare' or 'node restore' of this host holds '{stream.name}'. Wait for it."
                raise HvqualError(message) from error
            yield

    def record(
        self, check: str, defect: Defect, remedy: Remedy, old: tuple[OldFile, ...], expected: Mapping[str, Any]
    ) -> Entry:
        """Write down one remedy, durable when this returns; apply it only after that."""
        _make(self.folder)
        number = max((_number(path) for path in self.folder.glob("*.json") if path.name != BEFORE), default=0) + 1
        path = self.folder / f"{number:04d}-{uuid.uuid4()}.json"
        entry = Entry(check, defect.subject, remedy.summary, remedy.undo, remedy.irreversible, old, expected, path)
        data = {name: value for name, value in asdict(entry).items() if name != "path"}
        write_durable(path, json.dumps({"format": FORMAT, **data}, indent=1) + "\n")
        return entry

    def entries(self) -> list[Entry]:
        """Return what was applied, oldest first; HvqualError for a file that cannot be read: nothing is put back around it."""
        paths = sorted(
            (path for path in self.folder.glob("*.json") if path.name != BEFORE), key=lambda it: (_number(it), it.name)
        )
        return [_entry(path) for path in paths]

    def forget(self, entry: Entry) -> None:
        """Remove an entry whose remedy was taken back."""
        if entry.path is not None:
            entry.path.unlink(missing_ok=True)
            _sync(self.folder)

    def keep_before(self, state: Mapping[str, Any]) -> None:
        """Keep the node's state before the first remedy; a state that is kept already stays."""
        if not (self.folder / BEFORE).exists():
            _make(self.folder)
            write_durable(self.folder / BEFORE, json.dumps(state) + "\n")

    def before(self) -> Optional[dict[str, Any]]:
        """Return the state that was kept, None when there is none."""
        try:
            data: dict[str, Any] = json.loads((self.folder / BEFORE).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            message = f"The node's state before it was prepared, '{self.folder / BEFORE}', cannot be read: {error}."
            raise HvqualError(message) from error
        return data

    def close(self) -> None:
        """Forget the kept state, when all was taken back."""
        (self.folder / BEFORE).unlink(missing_ok=True)
        if self.folder.is_dir():
            _sync(self.folder)


def _entry(path: Path) -> Entry:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data.pop("format") != FORMAT:
            raise ValueError(f"its format is not {FORMAT}")  # noqa: TRY301, EM102 - told with the others below
        files = tuple(OldFile(**{**row, "folders": tuple(row["folders"])}) for row in data.pop("files"))
        undo = tuple(tuple(map(str, words)) for words in data.pop("undo"))
        return Entry(**data, files=files, undo=undo, path=path)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        message = BROKEN.format(path=path, why=error)
        raise HvqualError(message) from error


def _number(path: Path) -> int:
    head = path.name.split("-", 1)[0]
    return int(head) if head.isdigit() else 0


def _make(folder: Path) -> None:
    """Make *folder*, readable by root alone; its parents, below which images lie too, let everybody pass, whatever the umask."""
    for part in reversed([part for part in (folder, *folder.parents) if not part.exists()]):
        part.mkdir(mode=0o700, exist_ok=True)
        if part != folder:
            part.chmod(0o755)
        _sync(part.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_durable(path: Path, text: str, mode: int = 0o600) -> None:
    """Write a whole file or nothing: temporary file, fsync, rename, fsync of the folder; the owner of what was there stays."""
    temporary = path.with_name(f".{path.name}.hvq-new")
    with temporary.open("w", encoding="utf-8") as stream:
        os.fchmod(stream.fileno(), mode)
        if path.exists():
            status = path.stat()
            os.fchown(stream.fileno(), status.st_uid, status.st_gid)
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
    _sync(path.parent)
