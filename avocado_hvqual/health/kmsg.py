# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel log as records with sequence numbers, read by cursor and never cleared (decision 11)."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field
from typing import Optional

DEVICE = "/dev/kmsg"
MINIMAL_FIELDS = 3
RECORD_SIZE = 8192
"""The kernel never hands out a longer record (PRINTK_MESSAGE_MAX is 2048, the prefix and the dictionary come on top)."""


@dataclass(frozen=True)
class Record:
    """One record of the kernel log: its number, microseconds since boot, level (0 is an emergency) and text."""

    seq: int
    usec: int
    level: int
    facility: int
    text: str

    @property
    def seconds(self) -> float:
        """Seconds since boot by the kernel's log clock, which runs with CLOCK_MONOTONIC to within some milliseconds."""
        return self.usec / 1_000_000


@dataclass
class Slice:
    """What one look at the log gave: records in order, and each reason for which it may not be the whole truth."""

    records: list[Record] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)


def parse(raw: bytes) -> Record:
    """Return the record of one read from the device; ValueError when it is not ``prio,seq,usec,flags[,...];text``."""
    head, separator, body = raw.decode("utf-8", "replace").partition(";")
    fields = head.split(",")
    if not separator or len(fields) < MINIMAL_FIELDS:
        message = f"{raw[:80]!r} is not a kernel log record."
        raise ValueError(message)
    priority, seq, usec = int(fields[0]), int(fields[1]), int(fields[2])
    return Record(seq, usec, priority & 7, priority >> 3, body.split("\n", 1)[0])


class Reader:
    """
    A cursor in the kernel log; each ``read_new`` gives what came since, and says when something is missing.

    ``after`` is the sequence number of the last record already seen; None starts at the end of the log as it is now. The
    descriptor stays open, so that the kernel itself reports (EPIPE) when records were overwritten before they were read.
    """

    def __init__(self, after: Optional[int] = None, device: str = DEVICE) -> None:
        self.device = device
        self.cursor = -1 if after is None else after
        self._descriptor = os.open(device, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._expected: Optional[int] = None if after is None else after + 1
        if after is None:
            self._skip_to_end()

    def _skip_to_end(self) -> None:
        seen = self.read_new()
        if seen.records:
            self.cursor = seen.records[-1].seq
            self._expected = self.cursor + 1

    def fileno(self) -> int:
        """Return the descriptor, for poll()."""
        return self._descriptor

    def close(self) -> None:
        """Give the descriptor back; a second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def read_new(self) -> Slice:
        """Return all records since the last call; never blocks, never raises: what went wrong is a doubt."""
        seen = Slice()
        while True:
            try:
                raw = os.read(self._descriptor, RECORD_SIZE)
            except BlockingIOError:
                return seen
            except OSError as error:
                if error.errno == errno.EPIPE:
                    seen.doubts.append(
                        "The kernel overwrote log records before they were read (EPIPE); raise the kernel's log_buf_len."
                    )
                    continue
                seen.doubts.append(f"'{self.device}' cannot be read: {error.strerror}.")
                return seen
            if not raw:
                return seen
            self._take(raw, seen)

    def _take(self, raw: bytes, seen: Slice) -> None:
        try:
            record = parse(raw)
        except ValueError as error:
            seen.doubts.append(str(error))
            return
        if record.seq <= self.cursor:
            return
        if self._expected is not None and record.seq != self._expected:
            seen.doubts.append(
                f"The kernel log jumps from record {self._expected - 1} to {record.seq}; {record.seq - self._expected} records are missing."
            )
        self.cursor = record.seq
        self._expected = record.seq + 1
        seen.records.append(record)


def write(text: str, device: str = DEVICE) -> None:
    """
    Put one line into the kernel log (facility user, level info).

    Each call opens the device anew, because printk_devkmsg limits each open file to ten lines in five seconds.
    """
    descriptor = os.open(device, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, f"<14>{text}\n".encode())
    finally:
        os.close(descriptor)
