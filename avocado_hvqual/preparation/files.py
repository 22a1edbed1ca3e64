# SPDX-License-Identifier: GPL-2.0-or-later
"""Files that a remedy writes, and what they held before."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import Optional

from avocado_hvqual.errors import HvqualError
from avocado_hvqual.preparation.journal import OldFile, write_durable
from avocado_hvqual.preparation.model import NewFile


def look(files: Iterable[NewFile]) -> tuple[OldFile, ...]:
    """Return what stands in the files that a remedy will write; HvqualError for one that is no text or no plain file."""
    return tuple(_old(file) for file in files)


def _old(file: NewFile) -> OldFile:
    path = Path(file.path)
    missing = tuple(str(part) for part in path.parents if not part.exists())
    if not path.exists() and not path.is_symlink():
        return OldFile(file.path, file.text, None, file.mode, missing)
    try:
        if path.is_symlink() or not path.is_file():
            message = f"'{path}' is not a plain file, so it is not written."
            raise HvqualError(message)
        return OldFile(file.path, file.text, path.read_text(encoding="utf-8"), path.stat().st_mode & 0o7777, missing)
    except (OSError, UnicodeDecodeError) as error:
        message = f"'{path}' cannot be read, so it is not written: {error}."
        raise HvqualError(message) from error


def write(files: Iterable[NewFile]) -> Optional[str]:
    """Write the files, with the folders that they need; return why not, None when all are written."""
    for file in files:
        path = Path(file.path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_durable(path, file.text, file.mode)
        except OSError as error:
            return f"'{path}' could not be written: {error.strerror}"
    return None


def put_back(files: Iterable[OldFile]) -> list[str]:
    """Give each file its old content; return what could not be put back: a file that somebody else changed stays as it is."""
    return [f"'{file.path}': {why}" for file in reversed(tuple(files)) if (why := _put_back(file)) is not None]


def _put_back(file: OldFile) -> Optional[str]:
    path = Path(file.path)
    try:
        found = path.read_text(encoding="utf-8") if path.exists() else None
        if found not in {file.text, file.new}:
            return "it holds neither what was found nor what was written; compare by hand"
        if file.text is None:
            path.unlink(missing_ok=True)
        elif found != file.text:
            write_durable(path, file.text, file.mode)
    except (OSError, UnicodeDecodeError) as error:
        return str(error)
    for folder in file.folders:
        with contextlib.suppress(OSError):  # somebody else uses it now
            Path(folder).rmdir()
    return None
