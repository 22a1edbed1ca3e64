# SPDX-License-Identifier: GPL-2.0-or-later
"""SHA-256 of the evidence in a campaign's folder, so that a report's reader knows that a file is the one it speaks of."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Mapping
from pathlib import Path

LARGEST = 256 * 1024 * 1024
"""Bytes; a guest's dump beyond that is named with its size and the sum that its test recorded."""
_PART = 1024 * 1024


def told(folder: Path, path: str, recorded: Mapping[str, str]) -> str:
    """Return what is to be said of a file's content: its sum and size, or why there is none; no file outside *folder* is read."""
    before = recorded.get(path, "")
    file = folder / path
    try:
        if not file.resolve().is_relative_to(folder.resolve()):
            return "not within the campaign's folder, not read"
        if file.is_dir():
            return "a folder"
        about = file.stat()
        if not stat.S_ISREG(about.st_mode):
            return "no regular file, not read"
        if about.st_size > LARGEST:
            return f"sha256 {before or 'not taken'}, {about.st_size} bytes"
        now = _sum(file)
    except (OSError, ValueError, RuntimeError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        return f"cannot be read ({why}){f'; sha256 when it was recorded: {before}' if before else ''}"
    changed = f"; CHANGED since its test recorded {before}" if before and before != now else ""
    return f"sha256 {now}, {about.st_size} bytes{changed}"


def _sum(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while part := stream.read(_PART):
            digest.update(part)
    return digest.hexdigest()
