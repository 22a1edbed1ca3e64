# SPDX-License-Identifier: GPL-2.0-or-later
"""The one place of the tests that sleeps."""

from __future__ import annotations

import time
from typing import Callable, TypeVar

T = TypeVar("T")


class WaitTimeoutError(Exception):
    """Raised when a condition did not come true in time; the message says which, and how long it was waited for."""


def until(condition: Callable[[], T], timeout: float, what: str, interval: float = 0.05) -> T:
    """
    Return the first true value of *condition*, asked each *interval* seconds for at most *timeout* seconds.

    The condition is asked once more after the time is over, so that a process that was held up is not judged by a stale answer.
    """
    deadline = time.monotonic() + timeout
    while True:
        late = time.monotonic() >= deadline
        value = condition()
        if value:
            return value
        if late:
            message = f"Waited {timeout:g} s for {what}; it did not happen."
            raise WaitTimeoutError(message)
        time.sleep(interval)


class Absence:
    """For how long something is not there; it is looked for once a second at the most, as to look may cost more than to wait."""

    EACH = 1.0

    def __init__(self, there: Callable[[], bool]) -> None:
        """Take it to be there now; *there* tells from then on."""
        self._there = there
        self._looked = time.monotonic()
        self._since: float | None = None

    def seconds(self) -> float:
        """Return the time since the first of the looks that found nothing; 0 when the last one found it."""
        now = time.monotonic()
        if now - self._looked >= self.EACH:
            self._looked = now
            self._since = None if self._there() else self._since or now
        return now - self._since if self._since is not None else 0.0
