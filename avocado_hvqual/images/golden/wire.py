# SPDX-License-Identifier: GPL-2.0-or-later
"""The sockets of a running QEMU: its monitor, the guest agent, the console. Each answer is waited for, none for ever."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import secrets
import select
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Optional

from avocado_hvqual.errors import ImageError
from avocado_hvqual.wait import WaitTimeoutError, until

ANSWER_SECONDS = 20.0


class Line:
    """A socket of QEMU that is read without ever being blocked by it; all that came is in `text`."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))
        self.socket.settimeout(0)
        self.text = ""
        self.closed = False

    def read(self) -> str:
        """Take what is there and return all that came since the beginning."""
        while not self.closed and select.select([self.socket], [], [], 0)[0]:
            try:
                more = self.socket.recv(65536)
            except OSError:
                more = b""
            self.closed = not more
            self.text += more.decode("utf-8", "replace")
        return self.text

    def send(self, text: str) -> None:
        """Write *text*."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(text.encode())

    def wait(self, pattern: str, timeout: float, what: str, start: int = 0) -> re.Match[str]:
        """Return the first match of *pattern* in what came from position *start* on; `ImageError` when it does not come in time."""
        compiled = re.compile(pattern, re.MULTILINE)
        try:
            found = until(lambda: compiled.search(self.read(), start) or self.closed, timeout, what, 0.05)
        except WaitTimeoutError as error:
            msg = f"{error} {self._last()}"
            raise ImageError(msg) from error
        if isinstance(found, re.Match):
            return found
        msg = f"Waited for {what}, and the line was closed. {self._last()}"
        raise ImageError(msg)

    def _last(self) -> str:
        """Return a sentence with the last that came."""
        tail = self.text[-300:].replace("\r", "").strip()
        return f"The last that came was: {tail or 'nothing'}"

    def close(self) -> None:
        """Let go of the socket."""
        self.socket.close()


class Monitor:
    """QEMU's monitor (QMP): commands, and the events that came meanwhile."""

    def __init__(self, path: Path) -> None:
        self.line = Line(path)
        self._asked = 0
        self.line.wait(r'"QMP"', ANSWER_SECONDS, "QEMU's monitor to greet")
        self.execute("qmp_capabilities")

    def execute(self, command: str, **arguments: Any) -> Any:
        """Return what QEMU answers to *command*; `ImageError` when it refuses."""
        self._asked += 1
        self.line.send(json.dumps({"execute": command, "arguments": arguments, "id": self._asked}) + "\n")
        answer = _awaited(self._answer, f"QEMU to answer '{command}'")
        if "error" in answer:
            msg = f"QEMU refused '{command}': {answer['error'].get('desc', answer['error'])}"
            raise ImageError(msg)
        return answer["return"]

    def _answer(self) -> Optional[dict[str, Any]]:
        return next((row for row in self._rows() if row.get("id") == self._asked), None)

    def _rows(self) -> list[dict[str, Any]]:
        whole = self.line.read().splitlines(keepends=True)
        return [json.loads(row) for row in whole if row.endswith("\n")]

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the data of each event *name* that came."""
        return [row.get("data", {}) for row in self._rows() if row.get("event") == name]


class Agent:
    """The guest agent: commands that run in the guest, with their status and all that they write."""

    def __init__(self, path: Path) -> None:
        self.line = Line(path)

    def ready(self, timeout: float) -> None:
        """Return as soon as the agent answers; `ImageError` when it does not in time."""
        _awaited(self._synchronised, "the guest agent to answer", timeout, 0.5)

    def _synchronised(self) -> bool:
        """Ask for an own number; only its answer counts, whatever is still in the line."""
        number = secrets.randbelow(1 << 30)
        self.line.send(json.dumps({"execute": "guest-sync", "arguments": {"id": number}}) + "\n")
        with contextlib.suppress(WaitTimeoutError):
            return until(lambda: f'"return": {number}' in self.line.read(), 1.0, "the agent", 0.05)
        return False

    def _ask(self, command: str, arguments: dict[str, Any]) -> Any:
        start = len(self.line.read())
        self.line.send(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        answer = json.loads(
            self.line.wait(r"^\{.*\}$", ANSWER_SECONDS, f"the agent to answer '{command}'", start).group()
        )
        if "error" in answer:
            msg = f"The guest agent refused '{command}': {answer['error'].get('desc', answer['error'])}"
            raise ImageError(msg)
        return answer["return"]

    def run(self, script: str, timeout: float = 60.0) -> tuple[int, str]:
        """Run a shell *script* in the guest and return its status and what it wrote; `ImageError` when it does not end in time."""
        started = self._ask("guest-exec", {"path": "/bin/sh", "arg": ["-c", script], "capture-output": True})
        asked = {"pid": started["pid"]}

        def done() -> Optional[dict[str, Any]]:
            state: dict[str, Any] = self._ask("guest-exec-status", asked)
            return state if state["exited"] else None

        ended = _awaited(done, f"'{script}' to end in the guest", timeout, 0.1)
        text = base64.b64decode(ended.get("out-data", "")) + base64.b64decode(ended.get("err-data", ""))
        return int(ended.get("exitcode", -1)), text.decode("utf-8", "replace")


def _awaited(condition: Callable[[], Any], what: str, timeout: float = ANSWER_SECONDS, interval: float = 0.02) -> Any:
    try:
        return until(condition, timeout, what, interval)
    except WaitTimeoutError as error:
        raise ImageError(str(error)) from error
