# SPDX-License-Identifier: GPL-2.0-or-later
"""
The program beside a campaign that sends what its files have grown by: ``python -m avocado_hvqual.mirror.sender URI FOLDER CAMPAIGN``.

A process of its own: whatever the other end does, the campaign does not wait for it. The files themselves are the queue, so nothing is
held in memory and nothing is lost while the other end is. It says on its standard output, one line of JSON each, when the other end is
there (``streaming``), lost or refusing; ``finish`` on its standard input makes it send the rest and compare every file. When its input
ends without that, the campaign's process has died: the rest is sent, and the last beat says so.
"""

from __future__ import annotations

import hashlib
import json
import os
import select
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any, NamedTuple, Optional

from avocado_hvqual import wait
from avocado_hvqual.health import identity
from avocado_hvqual.mirror import files
from avocado_hvqual.mirror.address import Address, parse
from avocado_hvqual.mirror.channel import Channel, LostError, RefusedError

TICK = 0.5
BEAT_SECONDS = 2.0
LOOK_SECONDS = 1.0
CHUNK = 1 << 18
PAUSES = (1.0, 2.0, 5.0, 10.0)
"""Seconds before the next try to reach an end that is lost; the last one for ever."""
FINISH_SECONDS = 60.0
NICE = 5


class Pulse(threading.Thread):
    """Notices when this process stood still: the longest pause between two ticks since somebody asked, in seconds of real time."""

    def __init__(self) -> None:
        super().__init__(name="hvqual-mirror-pulse", daemon=True)
        self._last = self._now()
        self.longest = 0.0
        self._lock = threading.Lock()

    @staticmethod
    def _now() -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def run(self) -> None:
        """Tick for ever."""
        while True:
            with self._lock:
                now = self._now()
                self.longest = max(self.longest, now - self._last)
                self._last = now
            select.select([], [], [], TICK)

    def taken(self) -> float:
        """Return the longest pause until now."""
        with self._lock:
            return max(self.longest, self._now() - self._last)

    def forget(self) -> None:
        """Begin anew: the other end knows."""
        with self._lock:
            self.longest = 0.0


class Sent(NamedTuple):
    """How much of a file the other end has, and which file that is here."""

    size: int
    inode: int


class Sender:
    """Sends one campaign's folder to one address."""

    def __init__(self, address: Address, folder: Path, campaign: str) -> None:
        self.address, self.folder, self.campaign = address, folder, campaign
        self.session = uuid.uuid4().hex[:12]
        self.pulse = Pulse()
        self.channel: Optional[Channel] = None
        self.sent: dict[str, Sent] = {}
        self.asides: list[str] = []
        self.beats = 0
        self.next_beat = 0.0

    def connect(self) -> None:
        """Reach the other end; what it has is asked anew."""
        channel = Channel(self.address)
        try:
            channel.ask("open", folder=self.address.folder, campaign=self.campaign)
        except (LostError, RefusedError):
            channel.close()
            raise
        self.sent.clear()
        self.channel = channel
        self.next_beat = 0.0

    def let_go(self) -> None:
        """Give the other end up."""
        if self.channel is not None:
            self.channel.close()
            self.channel = None

    def ask(self, op: str, body: bytes = b"", **fields: Any) -> dict[str, Any]:
        """Return the other end's answer."""
        if self.channel is None:
            message = "There is no other end."
            raise LostError(message)
        return self.channel.ask(op, body, **fields)

    def beat(self, state: str = "streaming", **more: Any) -> None:
        """Tell the other end that this one lives, when it is time; a beat with another state is told at once."""
        now = time.monotonic()
        if now < self.next_beat and state == "streaming":
            return
        self.beats += 1
        told = {"state": state, "n": self.beats, "session": self.session, "campaign": self.campaign, **more}
        self.ask("beat", **told, wall=time.time(), boot_id=identity.boot(), gap=round(self.pulse.taken(), 1))
        self.pulse.forget()
        self.next_beat = now + BEAT_SECONDS

    def send_all(self, *, last: bool = False) -> None:
        """Send what has grown of every file, the journal first and again between the others."""
        for path in files.every(self.folder):
            if not files.too_large(self.folder / path):
                self.send(path, last=last)
            if path != files.JOURNAL:
                self.send(files.JOURNAL, last=last)
            self.beat()

    def send(self, path: str, *, last: bool = False) -> None:
        """Send what a file has grown by; a file that is another one now, or shorter, is begun anew."""
        here = self.folder / path
        try:
            found = here.stat()
            size = files.sendable(here, found.st_size, last=last)
        except OSError:
            return
        known = self.sent.get(path)
        if known is None or known.inode != found.st_ino or known.size > found.st_size:
            known = Sent(self._agreed(path, here), found.st_ino)
        with here.open("rb") as file:
            file.seek(known.size)
            while known.size < size:
                body = file.read(min(CHUNK, size - known.size))
                if not body:
                    break
                self.ask("append", body, path=path, offset=known.size)
                known = Sent(known.size + len(body), found.st_ino)
                self.sent[path] = known
                self.beat()
        self.sent[path] = known

    def _agreed(self, path: str, here: Path) -> int:
        """Return how many bytes of a file both ends have; what is not the beginning of ours is put aside there."""
        there = self.ask("have", path=path)
        if there["size"] == 0 or digest(here, there["size"]) == there["sha256"]:
            return int(there["size"])
        self.asides.append(str(self.ask("aside", path=path)["name"]))
        return 0

    def compare(self) -> dict[str, Any]:
        """Return how many files are the same at both ends, and which are not after one more try."""
        different, left, number = [], [], 0
        for path in list(files.every(self.folder)):
            here = self.folder / path
            if files.too_large(here):
                left.append(path)
                continue
            for attempt in (1, 2):
                there = self.ask("have", path=path)
                if there["sha256"] == digest(here, files.sendable(here, here.stat().st_size, last=True)):
                    number += 1
                    break
                self.sent.pop(path, None)
                if attempt == 1:
                    self.send(path, last=True)
                else:
                    different.append(path)
            self.beat()
        journal = self.ask("have", path=files.JOURNAL)["sha256"]
        return {"files": number, "different": different, "too_large": left, "journal_sha256": journal}


def digest(path: Path, size: int) -> str:
    """Return the digest of a file's first *size* bytes."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while size > 0 and (part := file.read(min(CHUNK, size))):
            found.update(part)
            size -= len(part)
    return found.hexdigest()


class Program:
    """The loop around a sender: begins anew what is lost, and listens to the campaign."""

    def __init__(self, sender: Sender) -> None:
        self.sender = sender
        self.told = ""
        self.tries = 0
        self.next_try = 0.0

    def tell(self, state: str, reason: str = "", **more: Any) -> None:
        """Say a change of state to the campaign, each once."""
        if state == self.told:
            return
        self.told = state
        try:
            sys.stdout.write(json.dumps({"state": state, "reason": reason, **more}) + "\n")
            sys.stdout.flush()
        except OSError:
            # The campaign is gone; what is left to do is done for the other end.
            sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - to the end of the process

    def guarded(self, *, last: bool = False) -> bool:
        """Do one round; return whether the other end has everything. An end that is lost is tried again when it is time."""
        sender = self.sender
        if sender.channel is None and time.monotonic() < self.next_try:
            return False
        try:
            if sender.channel is None:
                sender.connect()
            sender.send_all(last=last)
            sender.beat()
        except (LostError, RefusedError, OSError) as error:
            sender.let_go()
            self.tell("refused" if isinstance(error, RefusedError) else "lost", str(error))
            self.next_try = time.monotonic() + PAUSES[min(self.tries, len(PAUSES) - 1)]
            self.tries += 1
            return False
        self.tries = 0
        self.tell("streaming")
        return True

    def run(self) -> int:
        """Send until told to finish (0 when both ends are the same, else 1) or until the campaign is gone (2)."""
        self.sender.pulse.start()
        word = ""
        while word == "":
            self.guarded()
            word = listen(LOOK_SECONDS)
        state = "ended" if word == "finish" else "left"
        try:
            wait.until(lambda: self.guarded(last=True), FINISH_SECONDS, "the other end of the mirror", TICK)
            found = self.sender.compare()
            self.sender.beat(state, **found)
        except (wait.WaitTimeoutError, LostError, RefusedError, OSError) as error:
            self.tell("unverified", str(error))
            return 1
        finally:
            self.sender.let_go()
        reason = f"not the same at both ends: {', '.join(found['different'])}" if found["different"] else ""
        self.tell("unverified" if reason else "verified", reason, **found, asides=self.sender.asides)
        return (1 if reason else 0) if state == "ended" else 2


def listen(seconds: float) -> str:
    """Return ``finish``, ``gone`` when the campaign's end of the pipe is closed, or nothing after so many seconds."""
    if not select.select([sys.stdin], [], [], seconds)[0]:
        return ""
    said = os.read(sys.stdin.fileno(), 100)
    return "finish" if b"finish" in said else "gone" if not said else ""


def main(arguments: list[str]) -> int:
    """Run the program."""
    uri, folder, campaign = arguments
    os.nice(NICE)
    return Program(Sender(parse(uri), Path(folder), campaign)).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
