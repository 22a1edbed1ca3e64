# SPDX-License-Identifier: GPL-2.0-or-later
"""Processes told apart for good: a number alone is used again by the kernel."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
from pathlib import Path

from avocado_hvqual import wait

_START_TIME_FIELD = 19  # of the fields after the command name in /proc/PID/stat (proc(5) counts it as 22)


def boot_id() -> str:
    """Return the identity of this boot of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def stat_fields(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat that follow the command name, none if there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text.rpartition(")")[2].split()


@dataclasses.dataclass(frozen=True)
class Process:
    """One process of one boot: its number and the clock ticks between the boot and its start."""

    pid: int
    start: int

    @classmethod
    def of(cls, pid: int) -> Process | None:
        """Return the living process *pid*, None if there is none."""
        fields = stat_fields(pid)
        return cls(pid, int(fields[_START_TIME_FIELD])) if fields and fields[0] not in "ZX" else None

    def alive(self) -> bool:
        """Whether this very process still runs (a zombie does not)."""
        return Process.of(self.pid) == self

    def kill(self, timeout: float = 5.0) -> None:
        """End the process with SIGKILL and wait until it is gone; one that is gone already is left alone."""
        if not self.alive():
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        wait.until(lambda: not self.alive(), timeout, f"the end of process {self.pid}", interval=0.01)


def children(pid: int) -> list[int]:
    """Return the processes that *pid* has started and that still run."""
    numbers = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [number for number in numbers if stat_fields(number)[1:2] == [str(pid)] and Process.of(number)]


def same_pid_namespace(pid: int) -> list[int]:
    """Return all processes that live in the pid namespace of *pid*, itself included."""
    try:
        namespace = str(Path(f"/proc/{pid}/ns/pid").readlink())
    except OSError:
        return []
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if str((entry / "ns" / "pid").readlink()) == namespace:
                    found.append(int(entry.name))
    return found
