# SPDX-License-Identifier: GPL-2.0-or-later
"""From a folder to its verdict: load, judge, write every report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from avocado_hvqual import exit_codes, journal_reading, reports
from avocado_hvqual.folder_judging import judge_folder
from avocado_hvqual.model.qualification import Qualification
from avocado_hvqual.wording import share

PAGE = "report.html"


@dataclass(frozen=True)
class Outcome:
    """The verdict on a folder, whose reports are written."""

    qualification: Qualification
    folder: Path

    @property
    def plain_status(self) -> int:
        """What a plain ``avocado run`` deserves beside avocado's own status."""
        return exit_codes.plain_run(self.qualification)

    @property
    def page(self) -> Path:
        """The report to open first."""
        return self.folder / PAGE

    def line(self) -> str:
        """The verdict in one line."""
        it = self.qualification
        said = "clean" if it.clean else " ".join(it.reasons) or "not clean."
        return f"{it.verdict.value}, {share(it.attempted, it.required, 'case')} attempted: {said}"


def judge(folder: Path, ledger: Optional[Path] = None, policy: Optional[Path] = None) -> Qualification:
    """Return the verdict on what lies in a folder now, finished or not, by today's ledger."""
    return judge_folder(folder, policy, ledger)


def is_told(folder: Path) -> bool:
    """Whether every report in *folder* was written after the last line of its journal: an older one is of an earlier end."""
    try:
        ended = (folder / journal_reading.FILE).stat().st_mtime_ns
        return all((folder / name).stat().st_mtime_ns >= ended for name in reports.REPORTS)
    except FileNotFoundError:
        return False


def conclude(folder: Path, ledger: Optional[Path] = None, policy: Optional[Path] = None) -> Outcome:
    """Judge a folder and write its reports into it."""
    qualification = judge(folder, ledger, policy)
    reports.write(qualification, folder)
    return Outcome(qualification, folder)
