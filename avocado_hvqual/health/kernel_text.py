# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernel log lines as others kept them: dmesg text (pstore, kdump), /var/log/kern.log, the JSON lines of journalctl."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, NamedTuple, Optional

from avocado_hvqual.health.kmsg import Record

_DMESG = re.compile(
    r"(?:<(?P<priority>\d{1,3})>)?\[\s*(?P<seconds>\d+)\.(?P<micro>\d{6})\](?:\[[^\]]{1,12}\])? ?(?P<text>.*)"
)
_SYSLOG = re.compile(r"\S.{8,40}? kernel: (?P<rest>.*)")
_BOOT = re.compile(r"\bLinux version \d")
NOTICE = 5
UNKNOWN = 0
"""Microseconds of a line that carries no time of the kernel's clock."""


class Told(NamedTuple):
    """One line of a kernel log with the wall clock's seconds where its keeper noted them."""

    record: Record
    wall: Optional[float] = None


def _record(text: str, usec: int, priority: int) -> Record:
    return Record(0, usec, priority & 7, priority >> 3, text)


def dmesg(text: str) -> list[Told]:
    """Return the lines of a dmesg text; what is no such line (the header of a pstore record) is left out."""
    found = (_DMESG.match(line) for line in text.splitlines())
    return [Told(_of(match)) for match in found if match]


def _of(match: re.Match[str]) -> Record:
    usec = int(match["seconds"]) * 1_000_000 + int(match["micro"])
    return _record(match["text"], usec, int(match["priority"] or NOTICE))


def syslog(text: str) -> list[Told]:
    """Return the kernel's lines of a syslog file, with the kernel's own time where syslog kept it."""
    told = []
    for line in text.splitlines():
        match = _SYSLOG.match(line)
        if match is None:
            continue
        inner = _DMESG.match(match["rest"])
        told.append(Told(_of(inner) if inner else _record(match["rest"], UNKNOWN, NOTICE)))
    return told


def boots(lines: Iterable[Told]) -> list[list[Told]]:
    """Return the lines parted where a kernel began to run."""
    parts: list[list[Told]] = [[]]
    for line in lines:
        if _BOOT.search(line.record.text) and parts[-1]:
            parts.append([])
        parts[-1].append(line)
    return [part for part in parts if part]


def journal(text: str) -> list[Told]:
    """Return the lines that ``journalctl -k -o json`` printed; one that is not whole is left out."""
    told = []
    for line in text.splitlines():
        try:
            entry = json.loads(line)
            message = _message(entry["MESSAGE"])
            stamp = entry.get("_SOURCE_MONOTONIC_TIMESTAMP", entry.get("__MONOTONIC_TIMESTAMP", UNKNOWN))
            priority = int(entry.get("PRIORITY", NOTICE)) + 8 * int(entry.get("SYSLOG_FACILITY", 0))
            wall = float(entry["__REALTIME_TIMESTAMP"]) / 1e6 if "__REALTIME_TIMESTAMP" in entry else None
            told.append(Told(_record(message, int(stamp), priority), wall))
        except (ValueError, TypeError, KeyError, AttributeError):
            continue
    return told


def _message(value: Any) -> str:
    """Return a journal's message, which is a list of bytes when it is no plain text."""
    whole = value if isinstance(value, str) else bytes(value).decode("utf-8", "replace")
    return whole.split("\n", 1)[0]


def text_of(lines: Iterable[Told]) -> str:
    """Return lines as dmesg text, which `dmesg` reads."""
    said = []
    for line in lines:
        record = line.record
        stamp = record.usec
        priority = record.facility * 8 + record.level
        said.append(f"<{priority}>[{stamp // 1_000_000:5d}.{stamp % 1_000_000:06d}] {record.text}\n")
    return "".join(said)
