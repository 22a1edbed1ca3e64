# SPDX-License-Identifier: GPL-2.0-or-later
"""What a campaign tells while it runs: a live line with an ETA on a terminal, plain lines elsewhere, both kept in campaign.log."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional, TextIO

from avocado_hvqual.campaign.durations import Durations

GOOD = ("PASS", "WARN")


def clock(seconds: float) -> str:
    """Return a duration as people read it: ``45 s``, ``3 min 10 s``, ``2 h 05 min``."""
    whole = max(0, round(seconds))
    if whole < 60:  # noqa: PLR2004 - seconds of a minute
        return f"{whole} s"
    if whole < 3600:  # noqa: PLR2004 - seconds of an hour
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class Progress:
    """Knows what is done and what is left, and says so."""

    def __init__(self, profile: str, cases: Sequence[str], log: Optional[Path], stream: TextIO = sys.stdout) -> None:
        self._profile = profile
        self._left = list(cases)
        self._total = len(cases)
        self._durations = Durations()
        self._stream = stream
        self._log = log
        self._began = 0.0
        self._live: Any = None
        self._task: Any = None
        self.done = 0
        self.bad = 0

    def __enter__(self) -> Progress:
        if self._stream.isatty():
            self._live = self._rich()
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _rich(self) -> Any:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bar

        columns = (TextColumn("{task.fields[count]}"), BarColumn(bar_width=24), TextColumn("{task.description}"))
        bar = Bar(*columns, console=Console(file=self._stream), transient=True)
        self._task = bar.add_task("starting", total=self._total, count=f"0/{self._total}")
        return bar

    def eta(self) -> float:
        """Return the seconds that the cases which are left are expected to take."""
        return sum(self._durations.expected(self._profile, case) for case in self._left)

    def say(self, text: str) -> None:
        """Say one line, on the terminal above the live line, and keep it in the log."""
        if self._live is not None:
            self._live.console.print(text, markup=False, highlight=False)
        else:
            self._stream.write(f"{text}\n")
            self._stream.flush()
        if self._log is not None:
            with self._log.open("a", encoding="utf-8") as log:
                log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")

    def start(self, case: str) -> None:
        """Tell that a case runs now."""
        self._began = time.monotonic()
        if self._live is not None:
            text = f"{case}, {clock(self.eta())} left"
            self._live.update(self._task, completed=self.done, description=text, count=f"{self.done + 1}/{self._total}")

    def end(self, case: str, status: str, seconds: float) -> None:
        """Tell how a case ended."""
        if case in self._left:
            self._left.remove(case)
        self.done += 1
        self.bad += status not in GOOD
        if status in GOOD:
            self._durations.add(self._profile, {case: seconds})
        left = f", {clock(self.eta())} left" if self._left else ""
        self.say(f"{self.done}/{self._total} {status:<11} {case} ({clock(seconds)}){left}")
        if self._live is not None:
            self._live.update(self._task, completed=self.done)
