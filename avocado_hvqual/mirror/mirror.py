# SPDX-License-Identifier: GPL-2.0-or-later
"""
A campaign's handle on its mirror: ``Mirror(uri, folder, campaign)``, ``start``, ``attach(journal's append)``, ``finish``.

The sender is a process of its own; what it says is read by a thread here. A mirror that is lost is a line in the journal and never stops
or delays the campaign; a sender that dies is begun anew.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Optional

from avocado_hvqual.errors import HvqualError
from avocado_hvqual.mirror.address import parse
from avocado_hvqual.mirror.channel import Channel, LostError, RefusedError
from avocado_hvqual.wording import agreeing, counted

FINISH_SECONDS = 180.0
RESTARTS = 5
MOST = 40
"""So many changes of state are written into the journal; a line that comes and goes all night fills nothing."""
RESULT = "mirror.json"
LOG = "mirror.log"
"""What a sender that broke says of it."""
Append = Callable[[str, dict[str, Any]], None]


def demand(uri: str, campaign: str) -> None:
    """Return when the other end takes this campaign's mirror; HvqualError otherwise, before the night and not after it."""
    address = parse(uri)
    try:
        channel = Channel(address)
        try:
            channel.ask("open", folder=address.folder, campaign=campaign)
        finally:
            channel.close()
    except (LostError, RefusedError) as error:
        message = f"The mirror '{uri}' cannot be used: {error} Nothing was started."
        raise HvqualError(message) from error


class Mirror:
    """The mirror of one campaign."""

    def __init__(self, uri: str, folder: Path, campaign: str) -> None:
        """Nothing is begun yet; PlanError for an address that is none."""
        self.uri = parse(uri).text
        self.folder, self.campaign = folder, campaign
        self.result: dict[str, Any] = {}
        self.failures: list[str] = []
        self._append: Optional[Append] = None
        self._pending: list[dict[str, Any]] = []
        self._written = 0
        self._starts = 0
        self._ending = threading.Event()
        self._lock = threading.Lock()
        # As it is now: what a job later puts there marks processes that end with it.
        self._environment = dict(os.environ)
        self._process: Optional[subprocess.Popen[bytes]] = None
        self._thread = threading.Thread(target=self._listen, name="hvqual-mirror", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        if self._spawn():
            self._thread.start()

    def _spawn(self) -> bool:
        """Return whether a sender could be begun; one that could not stops nothing."""
        self._starts += 1
        try:
            self._begin()
        except OSError as error:
            self._process = None
            self._note({"state": "lost", "uri": self.uri, "reason": f"No sender can be begun: {error.strerror}."})
            return False
        return True

    def _begin(self) -> None:
        command = [sys.executable, "-m", "avocado_hvqual.mirror.sender", self.uri, str(self.folder), self.campaign]
        # A session of its own: Ctrl-C is for the campaign, which then says what the sender is to do.
        pipe = subprocess.PIPE
        with (self.folder / LOG).open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=log, env=self._environment, start_new_session=True, bufsize=0
            )

    def attach(self, append: Append) -> None:
        """Let changes of state be written into the journal by *append*, those that came before as well."""
        with self._lock:
            self._append, pending, self._pending = append, self._pending, []
        for line in pending:
            self._note(line)

    def detach(self) -> None:
        """Write nothing into the journal any more: it is about to be closed."""
        with self._lock:
            self._append = None

    def _listen(self) -> None:
        while True:
            process = self._process
            if process is None or process.stdout is None:
                return
            for line in process.stdout:
                self._take(line)
            status = process.wait()
            if self._ending.is_set() or self.result:
                return
            again = self._starts <= RESTARTS
            more = "it is begun anew" if again else "it is not begun anew"
            self._note({"state": "lost", "uri": self.uri, "reason": f"The sender ended with status {status}; {more}."})
            if not again or not self._spawn():
                return

    def _take(self, line: bytes) -> None:
        try:
            said = json.loads(line)
            state, reason = str(said["state"]), str(said["reason"])
        except (ValueError, KeyError, TypeError):
            return
        if state in {"verified", "unverified"}:
            self.result = said
        else:
            known = "streaming" if state == "streaming" else "lost"
            self._note({"state": known, "uri": self.uri, "reason": reason})

    def _note(self, line: dict[str, Any]) -> None:
        # Held while the line is written, so that none comes after `detach`: the journal's last line is the campaign's end.
        with self._lock:
            if self._append is None:
                self._pending.append(line)
                return
            self._written += 1
            if self._written > MOST:
                return
            try:
                self._append("mirror", line)
            except (HvqualError, OSError) as error:
                self.failures.append(f"Noting the state of the mirror failed: {error}")

    def finish(self, seconds: float = FINISH_SECONDS, *, leaving: bool = False) -> bool:
        """
        Send the rest, compare both ends, and return whether they are the same; why not is in ``failures``.

        With *leaving* the campaign goes on later, and the watcher is told to wait for it.
        """
        self._ending.set()
        process = self._process
        if process is None or process.stdin is None:
            self.failures.append(f"The mirror '{self.uri}' is not known to be whole: no sender could be begun.")
            return False
        with contextlib.suppress(OSError):
            if leaving:
                process.stdin.close()
            else:
                process.stdin.write(b"finish\n")
        self._thread.join(seconds)
        if process.poll() is None:
            process.kill()
            process.wait()
            self._thread.join(1.0)
        verified = self.result.get("state") == "verified"
        if not verified:
            why = self.result.get("reason") or f"its sender did not end in {seconds:g} s"
            self.failures.append(f"The mirror '{self.uri}' is not known to be whole: {why}.")
        self._write_result()
        return verified

    def _write_result(self) -> None:
        try:
            text = json.dumps({"uri": self.uri, **self.result}, indent=1, sort_keys=True)
            (self.folder / RESULT).write_text(f"{text}\n", encoding="utf-8")
        except OSError as error:
            self.failures.append(f"'{self.folder / RESULT}' cannot be written: {error.strerror}.")

    def words(self) -> str:
        """Return how it ended, for the terminal."""
        if self.result.get("state") != "verified":
            return " ".join(self.failures)
        left = len(self.result.get("too_large", ()))
        more = f", {left} too large for it" if left else ""
        number = self.result["files"]
        same = f"{counted(number, 'file')} in '{self.uri}' {agreeing(number, 'is', 'are')} the same"
        return f"Mirror: {same}{more}; journal {self.result['journal_sha256'][:12]}."
