# SPDX-License-Identifier: GPL-2.0-or-later
"""What avocado says of the tests of one job, written into a campaign's journal."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Optional

from avocado_hvqual.campaign.journal import Journal
from avocado_hvqual.model.case import CaseKey


def uid_of(suite_name: str, index: int) -> str:
    """Return the uid that avocado gives to the test at a place (from 1) of a suite."""
    return f"{suite_name}-{index}" if suite_name else str(index)


class JobEvents:
    """
    Maps avocado's events to cases by suite and uid, never by the test's name, which several cases share.

    A test that is not ours is none of its business. What goes wrong here is kept in ``failures``, for nobody sees an exception
    of a hook: avocado logs and forgets it.
    """

    def __init__(self, journal: Journal, folder: Path, cases: Mapping[str, CaseKey]) -> None:
        self.journal = journal
        self.folder = folder
        self.cases = cases
        self.failures: list[str] = []
        self.started: dict[str, Optional[Path]] = {}
        self.ended: dict[str, str] = {}
        self.seconds: dict[str, float] = {}
        self.on_start: Callable[[str], None] = lambda _case: None
        self.on_end: Callable[[str, str, float], None] = lambda _case, _status, _seconds: None

    def case_of(self, state: Mapping[str, Any]) -> Optional[str]:
        """Return the case that an event is about, None for a test that is not ours."""
        key = self.cases.get(str(getattr(state.get("name"), "uid", None)))
        return None if key is None else str(key)

    def _logdir(self, state: Mapping[str, Any]) -> Optional[Path]:
        found = state.get("logdir") or state.get("task_path")
        return Path(str(found)) if found else None

    def relative(self, path: Any) -> Optional[str]:
        """Return a path as the journal keeps it, relative to the campaign's folder."""
        return None if path is None else os.path.relpath(path, self.folder)

    def start(self, state: Mapping[str, Any]) -> None:
        """Take the event that a test started."""
        case = self.case_of(state)
        if case is None or case in self.started:
            return
        self.started[case] = self._logdir(state)
        self.journal.append("case-begin", {"case": case, "logdir": self.relative(self.started[case])})
        self.on_start(case)

    def end(self, state: Mapping[str, Any]) -> None:
        """Take the event that a test ended."""
        case = self.case_of(state)
        if case is None or case in self.ended:
            return
        logdir = self._logdir(state)
        self.started[case] = logdir
        status, seconds = str(state.get("status") or "ERROR"), float(state.get("time_elapsed") or 0.0)
        self.journal.append(
            "case-end",
            {
                "case": case,
                "status": status,
                "fail_reason": str(state.get("fail_reason") or ""),
                "fail_class": str(state.get("fail_class") or ""),
                "logdir": self.relative(logdir),
                "time": seconds,
            },
        )
        self.ended[case] = status
        self.seconds[case] = seconds
        self.on_end(case, status, seconds)

    def reconcile(self, states: list[Mapping[str, Any]]) -> None:
        """Take from the job's own list of results each end that no event told: both channels must have failed to lose one."""
        for state in states:
            case = self.case_of(state)
            if case is not None and case not in self.ended:
                self.failures.append(f"Avocado did not tell the end of '{case}' by an event.")
                self.end(state)
