# SPDX-License-Identifier: GPL-2.0-or-later
"""
Searches log files for regular expressions: a program of its own, because what a guest wrote may keep an expression busy for ever.

One JSON object on stdin, one on stdout, standard library alone. ``files``: [{path, absolute, sha256, size or null, sections}],
``searches``: {id: expression}, ``seconds``: CPU seconds for everything. The answer: ``found`` {id: [place]}, ``unread`` {path: why},
or ``slow`` {id, path} when the seconds did not do. A place is the file's path; in a file with sections, ``path#case`` (the case whose
markers stand around the line, empty between cases).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import resource
import signal
import stat
import sys
from types import FrameType
from typing import Any, Optional

LARGEST = 64 * 1024 * 1024
"""Bytes of one file; a larger one is not searched, and that is told."""

LONGEST = 4096
"""Characters of one line that are looked at."""

MARKER = re.compile(r"hvqual: (begin|end) (\S+) \S+$")


class _SlowError(Exception):
    """Raised in the middle of a search when the CPU seconds are used up."""


def _slow(_number: int, _frame: Optional[FrameType]) -> None:
    raise _SlowError


def content(wanted: dict[str, Any]) -> bytes:
    """Return the bytes that somebody vouched for; ValueError says why they cannot be had."""
    descriptor = os.open(wanted["absolute"], os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            message = "it is no regular file"
            raise ValueError(message)
        size = found.st_size if wanted["size"] is None else int(wanted["size"])
        if size > LARGEST:
            message = f"it has {size} bytes, and {LARGEST} are searched at most"
            raise ValueError(message)
        data = file.read(size + 1 if wanted["size"] is None else size)
    if hashlib.sha256(data).hexdigest() != wanted["sha256"]:
        message = "its SHA-256 is not what the test wrote down: it was changed since"
        raise ValueError(message)
    return data


def sections(path: str, data: bytes, *, marked: bool) -> list[tuple[str, list[str]]]:
    """Return the lines by place."""
    lines = [line[:LONGEST].rstrip("\r") for line in data.decode("utf-8", "replace").split("\n")]
    if not marked:
        return [(path, lines)]
    running = ""
    found: dict[str, list[str]] = {}
    for line in lines:
        mark = MARKER.search(line)
        if mark and mark.group(1) == "begin":
            running = mark.group(2)
        elif mark and mark.group(2) == running:
            running = ""
        if not mark:
            found.setdefault(f"{path}#{running}", []).append(line)
    return list(found.items())


def search(asked: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to what was asked."""
    expressions = {name: re.compile(text) for name, text in asked["searches"].items()}
    answer: dict[str, Any] = {"found": {name: [] for name in expressions}, "unread": {}}
    at: dict[str, str] = {}
    try:
        for wanted in asked["files"]:
            try:
                parts = sections(wanted["path"], content(wanted), marked=wanted["sections"])
            except (OSError, ValueError) as error:
                answer["unread"][wanted["path"]] = getattr(error, "strerror", None) or str(error)
                continue
            for name, expression in expressions.items():
                at = {"id": name, "path": wanted["path"]}
                answer["found"][name] += [place for place, lines in parts if any(map(expression.search, lines))]
    except _SlowError:
        return {"slow": at}
    return answer


def main() -> None:
    """Answer the question on stdin."""
    asked = json.load(sys.stdin)
    signal.signal(signal.SIGXCPU, _slow)
    resource.setrlimit(resource.RLIMIT_CPU, (int(asked["seconds"]), int(asked["seconds"]) + 5))
    json.dump(search(asked), sys.stdout)


if __name__ == "__main__":
    main()
