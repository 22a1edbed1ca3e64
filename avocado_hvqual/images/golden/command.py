# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs that a build runs: what they say goes into the build's log, and a failure is one sentence with their last words."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Optional

from avocado_hvqual.errors import HvqualError, ImageError

SECONDS = 900.0
SHOWN = 300


@dataclass(frozen=True)
class Programs:
    """Runs programs one after another, their words in one log; *error* is raised when one fails."""

    log: Path
    error: type[HvqualError] = ImageError
    folder: Optional[Path] = None
    environment: Mapping[str, str] = field(default_factory=dict)

    def within(self, folder: Optional[Path] = None, environment: Optional[Mapping[str, str]] = None) -> Programs:
        """Return the same, for programs that run in *folder* and find more variables."""
        return replace(self, folder=folder or self.folder, environment={**self.environment, **(environment or {})})

    def run(self, line: Sequence[str], purpose: str, *, text: str = "", timeout: float = SECONDS) -> str:
        """Return what a program wrote to its standard output; *text* goes to its input. An error when it fails."""
        done = self._done(line, purpose, text, timeout)
        self._note(line, done)
        if done.returncode != 0:
            said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()
            telling = [row for row in said if "error" in row.lower()] or said
            ended = f"ended with status {done.returncode}: {' '.join(telling)[-SHOWN:]}"
            msg = f"'{_shown(line)}' (to {purpose}) {ended} (all of it: {self.log})"
            raise self.error(msg)
        return done.stdout

    def _done(self, line: Sequence[str], purpose: str, text: str, timeout: float) -> subprocess.CompletedProcess[str]:
        """Run a program to its end, however it ends."""
        whole = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive", **self.environment}
        try:
            return subprocess.run(
                list(line),
                input=text,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout,
                env=whole,
                cwd=self.folder,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            late = f"did not end within {timeout:g} s; run the build again, it goes on there"
            msg = f"'{_shown(line)}' (to {purpose}) {late}."
            raise self.error(msg) from error
        except OSError as error:
            msg = f"'{_shown(line)}' (to {purpose}) could not be run: {error.strerror}."
            raise self.error(msg) from error

    def _note(self, line: Sequence[str], done: subprocess.CompletedProcess[str]) -> None:
        """Add one program to the log; what went to its input, which may be secret, is left out."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("a", encoding="utf-8") as stream:
            stream.write(f"$ {shlex.join(line)}\n{done.stdout}{done.stderr}= {done.returncode}\n")


def _shown(line: Sequence[str]) -> str:
    """Return a command line, short enough for a sentence."""
    text = shlex.join(line)
    return text if len(text) <= SHOWN else text[:SHOWN] + " ..."
