# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs that a build runs: what they say goes into the build's log, and a failure is one sentence with their last words."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Optional

from avocado_hvqual.errors import ImageError

SECONDS = 900.0
SHOWN = 300


class Programs:
    """Runs programs one after another, their words in one log."""

    def __init__(self, log: Path) -> None:
        self.log = log

    def run(
        self,
        line: Sequence[str],
        purpose: str,
        *,
        text: str = "",
        timeout: float = SECONDS,
        environment: Optional[Mapping[str, str]] = None,
    ) -> str:
        """Return what a program wrote to its standard output; *text* goes to its input. `ImageError` when it fails."""
        done = self._done(line, purpose, text, timeout, environment or {})
        self._note(line, done)
        if done.returncode != 0:
            said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()
            ended = f"ended with status {done.returncode}: {' '.join(said)[-SHOWN:]}"
            msg = f"'{_shown(line)}' (to {purpose}) {ended} (all of it: {self.log})"
            raise ImageError(msg)
        return done.stdout

    @staticmethod
    def _done(
        line: Sequence[str], purpose: str, text: str, timeout: float, environment: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end, however it ends."""
        whole = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive", **environment}
        try:
            return subprocess.run(
                list(line),
                input=text,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout,
                env=whole,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            late = f"did not end within {timeout:g} s; run the build again, it goes on there"
            msg = f"'{_shown(line)}' (to {purpose}) {late}."
            raise ImageError(msg) from error
        except OSError as error:
            msg = f"'{_shown(line)}' (to {purpose}) could not be run: {error.strerror}."
            raise ImageError(msg) from error

    def _note(self, line: Sequence[str], done: subprocess.CompletedProcess[str]) -> None:
        """Add one program to the log; what went to its input, which may be secret, is left out."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("a", encoding="utf-8") as stream:
            stream.write(f"$ {shlex.join(line)}\n{done.stdout}{done.stderr}= {done.returncode}\n")


def _shown(line: Sequence[str]) -> str:
    """Return a command line, short enough for a sentence."""
    text = shlex.join(line)
    return text if len(text) <= SHOWN else text[:SHOWN] + " ..."
