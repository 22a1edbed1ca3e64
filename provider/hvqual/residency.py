# SPDX-License-Identifier: GPL-2.0-or-later
"""
Where threads really run, by the host's scheduler: what they may is one thing, what they do another.

A thread's last CPU counts only when it has run since the look before. Where the kernel counts migrations, none may come
while a thread has one CPU only: that misses nothing between two looks.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Callable

from avocado.core.exceptions import TestError

from provider.hvqual import shares
from provider.hvqual.pins import Place
from provider.hvqual.shares import Thread
from provider.hvqual.wait import until

LOOK = 0.05
MIGRATIONS = "se.nr_migrations"


@dataclass
class Seen:
    """What was seen of one thread: how often it ran, and where it must not have been."""

    thread: Thread
    may: Place
    ran: float
    migrations: int | None
    samples: int = 0
    strays: int = 0
    moves: int = 0

    @property
    def told(self) -> str:
        """One sentence's part about where it went."""
        where = ",".join(map(str, sorted(self.may)))
        return (
            f"'{self.thread.name}' may run on {where}: {self.strays} of {self.samples} looks found it elsewhere, "
            f"it changed CPU {self.moves} times"
        )


class Residency:
    """Threads, each with the host CPUs on which it may run, looked at again and again."""

    def __init__(self, places: Sequence[tuple[Thread, Place]]) -> None:
        """Begin now: where a thread ran before does not count."""
        self.seen = [Seen(thread, may, shares.cpu_seconds(thread), migrations(thread)) for thread, may in places]

    def look(self) -> None:
        """Look once where each ran that has run since the look before."""
        for one in self.seen:
            ran = shares.cpu_seconds(one.thread)
            if ran > one.ran:
                one.ran, one.samples = ran, one.samples + 1
                one.strays += shares.last_cpu(one.thread) not in one.may

    def conclude(self) -> list[Seen]:
        """Return what was seen of each; TestError when one did not run, as then its place proves nothing."""
        self.look()
        for one in self.seen:
            now = migrations(one.thread)
            if one.migrations is not None and now is not None and len(one.may) == 1:
                one.moves = now - one.migrations
        idle = [one.thread.name for one in self.seen if not one.samples]
        if idle:
            message = f"{', '.join(idle)} did not run while it was looked at: where it would have run is unknown."
            raise TestError(message)
        return self.seen


def watch(places: Sequence[tuple[Thread, Place]], seconds: float, meanwhile: Callable[[], object] = bool) -> list[Seen]:
    """Return where the threads ran in the next *seconds*; *meanwhile* is called all the while."""
    residency, end = Residency(places), time.monotonic() + seconds

    def over() -> bool:
        residency.look()
        meanwhile()
        return time.monotonic() >= end

    until(over, seconds + 60, f"{seconds:g} s of looking where threads run", interval=LOOK)
    return residency.conclude()


def migrations(thread: Thread) -> int | None:
    """Return how often the thread went from one CPU to another, None where the kernel does not count that."""
    try:
        lines = (thread.folder / "sched").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    return next((int(line.rsplit(":", 1)[1]) for line in lines if line.startswith(MIGRATIONS)), None)
