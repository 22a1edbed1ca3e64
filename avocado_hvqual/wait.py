# SPDX-License-Identifier: GPL-2.0-or-later
"""The one place of this package that sleeps."""

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
