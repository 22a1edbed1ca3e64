# SPDX-License-Identifier: GPL-2.0-or-later
"""A thread that copies the kernel log into the campaign as it grows, and an account of whether the copy is whole."""

from __future__ import annotations

import os
import select
import threading
import uuid
from pathlib import Path
from typing import Optional

from avocado_hvqual import wait
from avocado_hvqual.health import kmsg, marker, patterns

POLL_SECONDS = 0.5
MARKER_SECONDS = 5.0


class Watcher:
    """
    Follows the kernel log from now on; ``stop`` proves by a marker that it followed it to the end.

    ``records`` and ``doubts`` are complete only after ``stop``. Nothing here raises once started: a log that cannot be opened,
    read or copied is a doubt, and a doubt makes the host's health unknown, never clean.
    """

    def __init__(self, copy: Path, subject: str, after: Optional[int] = None, device: str = kmsg.DEVICE) -> None:
        self.copy = copy
        self.subject = subject
        self.device = device
        self.records: list[kmsg.Record] = []
        self.doubts: list[str] = []
        self._after = after
        self._reader: Optional[kmsg.Reader] = None
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._follow, name="hvqual-kernel-log", daemon=True)

    def start(self) -> None:
        """Begin to follow the log; a log that cannot be opened is noted as a doubt."""
        try:
            self._reader = kmsg.Reader(self._after, self.device)
        except OSError as error:
            self.doubts.append(
                f"'{self.device}' cannot be opened ({error.strerror}), so nobody knows what the host's kernel said; run as root."
            )
            return
        self._thread.start()

    def sync(self) -> None:
        """Write a marker and wait until it came through the thread, so that everything before it is here; if not, that is a doubt."""
        if self._reader is None:
            return
        last = marker.Marker("watch", self.subject, uuid.uuid4().hex[:12])
        try:
            kmsg.write(str(last), self.device)
            wait.until(lambda: self.has(last), MARKER_SECONDS, "the watcher's marker in the kernel log")
        except OSError as error:
            self._doubt(
                f"No marker can be written to '{self.device}' ({error.strerror}), so the copy of the kernel log may lack lines."
            )
        except wait.WaitTimeoutError:
            state = "is alive but did not see it" if self._thread.is_alive() else "had died"
            self._doubt(f"The watcher of the kernel log {state}: its marker did not come back in {MARKER_SECONDS:g} s.")

    def stop(self) -> None:
        """Prove by a last marker that the log was followed to here, and end."""
        if self._reader is None:
            return
        self.sync()
        self._stop.set()
        self._thread.join(POLL_SECONDS * 4)
        self._reader.close()

    def _doubt(self, sentence: str) -> None:
        if sentence not in self.doubts:
            self.doubts.append(sentence)

    def has(self, wanted: marker.Marker) -> bool:
        """Return whether the marker came through the watcher."""
        with self._lock:
            return any(marker.of(record) == wanted for record in self.records)

    def _follow(self) -> None:
        reader = self._reader
        if reader is None:
            return
        poller = select.poll()
        poller.register(reader.fileno(), select.POLLIN)
        try:
            while not self._stop.is_set():
                poller.poll(POLL_SECONDS * 1000)
                self._keep(reader.read_new())
        except Exception as error:  # noqa: BLE001 - whatever ended the thread must be told, a thread's exception is seen by nobody
            self.doubts.append(f"The watcher of the kernel log died: {error!r}.")

    def _keep(self, seen: kmsg.Slice) -> None:
        for doubt in seen.doubts:
            self._doubt(doubt)
        if not seen.records:
            if seen.doubts:
                self._stop.wait(POLL_SECONDS)
            return
        with self._lock:
            self.records.extend(seen.records)
        bad = any(patterns.classify(record) or marker.of(record) for record in seen.records)
        try:
            self._write(seen.records, durable=bad)
        except OSError as error:
            doubt = (
                f"'{self.copy}' cannot be written ({error.strerror}), so the evidence of the kernel log is incomplete."
            )
            if doubt not in self.doubts:
                self.doubts.append(doubt)

    def _write(self, records: list[kmsg.Record], *, durable: bool) -> None:
        with self.copy.open("a", encoding="utf-8") as stream:
            stream.writelines(
                f"{record.facility * 8 + record.level},{record.seq},{record.usec},-;{record.text}\n"
                for record in records
            )
            stream.flush()
            if durable:
                os.fsync(stream.fileno())


def read_copy(path: Path) -> list[kmsg.Record]:
    """Return the records of a copy that an earlier process wrote; a torn last line (the host died) is left out."""
    records = []
    for line in path.read_bytes().split(b"\n")[:-1]:
        try:
            records.append(kmsg.parse(line))
        except ValueError:
            continue
    return records
