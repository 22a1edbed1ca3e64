# SPDX-License-Identifier: GPL-2.0-or-later
"""Ends a phase after the case that runs: what was not begun is not begun, and nothing that runs is disturbed."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Optional


class PhaseEnd:
    """
    Asked from any thread, done in avocado's own loop.

    Avocado 113 has no word for it: `failfast` knows statuses alone, and an interrupt ends the test that runs.
    """

    def __init__(self) -> None:
        self.reason = ""
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._suites: list[Any] = []

    def follow(self, suites: list[Any]) -> None:
        """Take the suites of the phase's job."""
        self._suites = suites

    def heard(self) -> None:
        """Take that a case began or ended; called within avocado's loop."""
        with contextlib.suppress(RuntimeError):
            self._loop = asyncio.get_running_loop()
        if self.reason:
            self._abort()

    def ask(self, reason: str) -> bool:
        """Ask for the end; return whether nobody had before."""
        first, self.reason = not self.reason, self.reason or reason
        if self._loop is not None:
            # A loop that is closed belongs to a suite that is over; the next one does not start.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._abort)
        return first

    def _abort(self) -> None:
        for suite in self._suites:
            machine = getattr(suite.runner, "tsm", None)
            if machine is not None:
                task = asyncio.ensure_future(machine.abort(self.reason))
                task.add_done_callback(lambda done: done.cancelled() or done.exception())
