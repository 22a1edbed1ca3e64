# SPDX-License-Identifier: GPL-2.0-or-later
"""Orders to a receiver and its answers, each within a time: an end that hangs is an end that is lost."""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
from pathlib import Path
from typing import IO, Any, Optional, cast

from avocado_hvqual.mirror.address import Address

PROGRAM = Path(__file__).with_name("receiver.py")
ANSWER_SECONDS = 20.0
READ = 1 << 16
SAID = 400


class LostError(Exception):
    """Raised when the other end cannot be reached, hangs or went away; another try may do."""


class RefusedError(Exception):
    """Raised when the other end answers that it will not; trying again does not help."""


class Channel:
    """A receiver that runs."""

    def __init__(self, address: Address, seconds: float = ANSWER_SECONDS) -> None:
        """Begin it; LostError when the program cannot be run."""
        self._seconds = seconds
        self._rest = b""
        try:
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(address.command, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0)
        except OSError as error:
            message = f"'{address.command[0]}' cannot be run: {error.strerror}."
            raise LostError(message) from error
        for stream in (self._stdin, self._stdout, self._stderr):
            os.set_blocking(stream.fileno(), False)
        program = PROGRAM.read_bytes()
        self._send(b"%d\n" % len(program) + program)

    @property
    def _stdin(self) -> IO[bytes]:
        return cast("IO[bytes]", self._process.stdin)

    @property
    def _stdout(self) -> IO[bytes]:
        return cast("IO[bytes]", self._process.stdout)

    @property
    def _stderr(self) -> IO[bytes]:
        return cast("IO[bytes]", self._process.stderr)

    def ask(self, op: str, body: bytes = b"", **fields: Any) -> dict[str, Any]:
        """Return the answer to one order; RefusedError when it is a no, LostError when there is none in time."""
        order = {"op": op, **fields, **({"size": len(body)} if body else {})}
        self._send(json.dumps(order).encode() + b"\n" + body)
        try:
            answer = json.loads(self._line())
        except ValueError as error:
            message = "The other end answers something else than a mirror does."
            raise LostError(message) from error
        if not isinstance(answer, dict) or "error" in answer:
            message = f"The other end refuses: {answer.get('error') if isinstance(answer, dict) else answer}."
            raise RefusedError(message)
        return answer

    def _send(self, data: bytes) -> None:
        rest, until = memoryview(data), time.monotonic() + self._seconds
        while rest:
            self._wait(writing=True, until=until)
            try:
                rest = rest[os.write(self._stdin.fileno(), rest[:READ]) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise self._lost(str(error.strerror)) from error

    def _line(self) -> bytes:
        until = time.monotonic() + self._seconds
        while b"\n" not in self._rest:
            self._wait(writing=False, until=until)
            part = os.read(self._stdout.fileno(), READ)
            if not part:
                why = "it went away"
                raise self._lost(why)
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def _wait(self, *, writing: bool, until: float) -> None:
        stream = self._stdin if writing else self._stdout
        wanted = ([], [stream]) if writing else ([stream], [])
        if not any(select.select(*wanted, [], max(0.0, until - time.monotonic()))):
            why = f"it did not answer in {self._seconds:g} s"
            raise self._lost(why)

    def _lost(self, why: str) -> LostError:
        """Return the error with what ssh or the receiver said last."""
        said = b""
        if select.select([self._stderr], [], [], 0.2)[0]:
            said = os.read(self._stderr.fileno(), READ)
        lines = said.decode("utf-8", "replace").strip().splitlines()
        return LostError(f"The other end is lost: {why}{f' ({lines[-1][:SAID]})' if lines else ''}.")

    def close(self) -> None:
        """End the receiver; one that hangs is killed."""
        for stream in (self._stdin, self._stdout, self._stderr):
            stream.close()
        try:
            self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            # A receiver in a system call on a dead mount cannot even be killed: nobody waits for it.
            self._reap()

    def _reap(self) -> Optional[int]:
        try:
            return self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            return None
