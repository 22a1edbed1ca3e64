# SPDX-License-Identifier: GPL-2.0-or-later
"""
The watcher at the other end of a mirror: ``Watch(folder, options).run()`` returns the exit status.

Time is the watcher's own monotonic clock, and a sign of life is a heartbeat that differs from the one before: neither the node's clock
nor the mirror's can make a silence shorter. Notes go to ``watch.jsonl`` beside the journal (see `notes`), on disk before anybody is told.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from avocado_hvqual import journal_reading as journal
from avocado_hvqual import wait
from avocado_hvqual.errors import JournalError
from avocado_hvqual.mirror.receiver import HEARTBEAT, NOTES

ENDED, SILENT, LEFT, NOT_WHOLE = 0, 51, 52, 53
LOOK_SECONDS = 0.5
NOTIFY_SECONDS = 60.0
DAY = 86400.0


class Options(NamedTuple):
    """What makes silence, when to give up, whom to tell."""

    silence: float = 30.0
    give_up: float = 3600.0
    notify: tuple[str, ...] = ()
    """A program and its words, run without a shell; the message comes on its standard input and in HVQUAL_MESSAGE."""


class Standing(NamedTuple):
    """What the journal says at a moment: how many whole lines, the case that runs, the status that it ended with."""

    lines: int = 0
    case: str = ""
    ended: str = ""
    last: str = ""
    """The kind of the last line."""


class Watch:
    """Follows one mirrored folder."""

    def __init__(self, folder: Path, options: Options, write: Callable[[str], None]) -> None:
        self.folder, self.options, self.write = folder, options, write
        self.beat: dict[str, Any] = {}
        self.heard_at = time.monotonic()
        self.heard_wall = time.time()
        self.is_silent = False
        self.has_left = False
        self._unwritten: list[dict[str, Any]] = []
        self._complained = False

    def run(self) -> int:
        """Watch until the campaign ends, or nothing was heard for so long that nobody waits any more."""
        self._note("watching", silence=self.options.silence)
        while True:
            with contextlib.suppress(wait.WaitTimeoutError):
                return wait.until(self._look, DAY, "the campaign's end", LOOK_SECONDS) - 1

    def _look(self) -> int:
        """Return 0 to go on, else the exit status and one."""
        self._write_notes()
        beat = self._read()
        if beat and beat != self.beat:
            self._alive(beat)
        if self.beat.get("state") == "ended":
            return self._ended() + 1
        silence = time.monotonic() - self.heard_at
        if silence >= self.options.silence and not self.is_silent and not self.has_left:
            self._silent(silence)
        if silence >= max(self.options.silence, self.options.give_up):
            self.write(f"Nothing was heard for {silence:.0f} s; nobody waits any more.")
            return (LEFT if self.has_left else NOT_WHOLE if self._standing().ended else SILENT) + 1
        return 0

    def _read(self) -> dict[str, Any]:
        try:
            beat = json.loads((self.folder / HEARTBEAT).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return beat if isinstance(beat, dict) else {}

    def _alive(self, beat: dict[str, Any]) -> None:
        before, silence = self.beat, time.monotonic() - self.heard_at
        if self.is_silent and not self._standing().ended:
            gap = _number(beat.get("gap"))
            how = self._how(before, beat, gap)
            self._note("heard", seconds=silence, how=how, gap=gap)
            self.write(f"Heard again after {silence:.0f} s ({how}).")
        self.beat, self.is_silent = beat, False
        self.heard_at, self.heard_wall = time.monotonic(), time.time()
        self.has_left = beat.get("state") == "left"
        if self.has_left:
            self._note("left")
            self._tell_left()

    def _tell_left(self) -> None:
        if self._standing().last == "reboot-planned":
            self.write("The host boots anew, as it announced; the campaign goes on afterwards.")
        else:
            self._tell("The campaign's process died; its host lives. Resume the campaign there.")

    def _how(self, before: dict[str, Any], beat: dict[str, Any], gap: float) -> str:
        """Return what the silence was, by what the sender says of itself now."""
        if before and before.get("boot_id") != beat.get("boot_id"):
            return "rebooted"
        if before and before.get("session") != beat.get("session"):
            return "new-process"
        # One that went on ticked all the while; a pause of half the silence is not explained by a busy node.
        return "stood-still" if gap >= self.options.silence / 2 else "connection"

    def _silent(self, silence: float) -> None:
        """Note the silence, unless the journal says that nobody has anything left to say."""
        standing = self._standing()
        self.is_silent = True
        if standing.ended:
            said = f"The journal says that the campaign ended ({standing.ended})"
            self.write(f"{said}; its sender fell silent before both ends were compared.")
            return
        about = {"lines": standing.lines, "case": standing.case}
        self._note("silent", since=self.heard_wall, seconds=silence, **about)
        where = f" during '{standing.case}'" if standing.case else ""
        self._tell(f"Host hang: nothing was heard of the node for {silence:.0f} s{where}. See '{self.folder / NOTES}'.")

    def _ended(self) -> int:
        standing = self._standing()
        whole = not self.beat.get("different") and bool(standing.ended) and self._is_same()
        self._note("ended", status=standing.ended)
        if not whole:
            self.write("The campaign ended, and the mirror is not the same as the node's files.")
            return NOT_WHOLE
        self.write(f"The campaign ended ({standing.ended}); the mirror is whole.")
        return ENDED

    def _is_same(self) -> bool:
        try:
            data = (self.folder / journal.FILE).read_bytes()
        except OSError:
            return False
        return hashlib.sha256(data).hexdigest() == self.beat.get("journal_sha256")

    def _standing(self) -> Standing:
        try:
            lines = journal.read(self.folder).lines
        except JournalError:
            return Standing()
        running: dict[str, bool] = {}
        for line in lines:
            if line.kind == "case-begin":
                running[str(line.data["case"])] = True
            elif line.kind == "case-end":
                running.pop(str(line.data["case"]), None)
        ended = lines[-1].data["status"] if lines and lines[-1].kind == "campaign-end" else ""
        return Standing(len(lines), next(reversed(list(running)), ""), ended, lines[-1].kind if lines else "")

    def _note(self, kind: str, **fields: Any) -> None:
        self._unwritten.append({"kind": kind, "wall": time.time(), **fields})
        self._write_notes()

    def _write_notes(self) -> None:
        """Write what is not written yet; where the folder is away for a while, later."""
        try:
            while self._unwritten:
                with (self.folder / NOTES).open("a", encoding="utf-8") as file:
                    file.write(json.dumps(self._unwritten[0]) + "\n")
                    file.flush()
                    os.fsync(file.fileno())
                self._unwritten.pop(0)
        except OSError as error:
            if not self._complained:
                self.write(
                    f"'{self.folder / NOTES}' cannot be written ({error.strerror}); what is to be noted is kept."
                )
            self._complained = True

    def _tell(self, message: str) -> None:
        self.write(message)
        if not self.options.notify:
            return
        try:
            done = subprocess.run(
                self.options.notify,
                input=f"{message}\n",
                text=True,
                timeout=NOTIFY_SECONDS,
                check=False,
                stdout=subprocess.DEVNULL,
                env={**os.environ, "HVQUAL_MESSAGE": message},
            )
            self._note("notify", status=done.returncode, message=message)
        except (OSError, subprocess.TimeoutExpired) as error:
            self._note("notify", status=-1, message=f"{message} {error}")
            self.write(f"The notify command could not be run: {error}")


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else 0.0
