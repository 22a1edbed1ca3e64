# SPDX-License-Identifier: GPL-2.0-or-later
"""The processes of a test as the kernel lists them, told apart from others that later get the same number."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from avocado_hvqual import wait

PROC = Path("/proc")
MARK = "HVQUAL_JOB"
"""What processes below a job of ours carry in their environment: pid namespace, pid and start of the avocado that runs it."""


@dataclass(frozen=True)
class Process:
    """One process: its pid, parent, state letter and start in clock ticks since boot (pid and start together are unique)."""

    pid: int
    parent: int
    state: str
    start: int

    @property
    def alive(self) -> bool:
        """Whether it can still act: a zombie cannot."""
        return self.state not in "ZX"


def look(pid: int) -> Optional[Process]:
    """Return the process with that number, None when there is none."""
    try:
        fields = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return Process(pid, int(fields[1]), fields[0], int(fields[19]))
    except (OSError, IndexError, ValueError):
        return None


def everyone() -> list[Process]:
    """Return all processes of this pid namespace."""
    found = (look(int(entry.name)) for entry in PROC.iterdir() if entry.name.isdigit())
    return [process for process in found if process is not None]


def below(root: int, among: list[Process]) -> list[Process]:
    """Return the descendants of a process, parents before their children."""
    children: dict[int, list[Process]] = {}
    for process in among:
        children.setdefault(process.parent, []).append(process)
    found, queue = [], [root]
    while queue:
        for child in children.get(queue.pop(0), []):
            found.append(child)
            queue.append(child.pid)
    return found


def tasks_of_job(job_id: str) -> dict[str, list[Process]]:
    """
    Return the runner and test processes of an avocado job by task id.

    They are known by their command line, ``task-run -i <task id> -j <job id>``; a forked test keeps it, also as an orphan.
    """
    found: dict[str, list[Process]] = {}
    for process in everyone():
        try:
            words = (PROC / str(process.pid) / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
        except OSError:
            continue
        start = words.index("task-run") if "task-run" in words else len(words)
        call = [*words[start : start + 5], "", "", "", "", ""]
        if call[1] == "-i" and call[3:5] == ["-j", job_id] and process.pid != os.getpid():
            found.setdefault(call[2], []).append(process)
    return found


def of_task(task_id: str, job_id: str) -> list[Process]:
    """Return runner and test processes of one avocado task."""
    return tasks_of_job(job_id).get(task_id, [])


def mark() -> str:
    """
    Let every process that is started from now on below this one carry our mark; return it.

    avocado-vt's helpers (aexpect_helper, the tcpdump that sniffs addresses) make themselves daemons: when their test is killed nothing but
    the environment tells whose they were.
    """
    me = look(os.getpid())
    os.environ[MARK] = f"{_namespace()}:{os.getpid()}:{me.start if me else 0}"
    return os.environ[MARK]


def _namespace() -> int:
    return (PROC / "self/ns/pid").stat().st_ino


def _marks() -> list[tuple[Process, str]]:
    """Return each living process that carries a mark, with the mark."""
    found = []
    for process in everyone():
        try:
            environment = (PROC / str(process.pid) / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        said = next((entry for entry in environment if entry.startswith(f"{MARK}=".encode())), b"")
        if said and process.alive and process.pid != os.getpid():
            found.append((process, said.partition(b"=")[2].decode("ascii", "replace")))
    return found


def marked(by: str) -> list[Process]:
    """Return the living processes that carry the given mark."""
    return [process for process, said in _marks() if said == by]


def abandoned() -> list[Process]:
    """Return the living processes that carry a mark of an avocado that is no more."""
    here = f"{_namespace()}:"
    owners = {f"{here}{process.pid}:{process.start}" for process in everyone() if process.alive}
    # Of another pid namespace (a lab host, seen from outside) nothing can be said: its numbers are not ours.
    return [process for process, said in _marks() if said.startswith(here) and said not in owners]


def _same(process: Process) -> bool:
    now = look(process.pid)
    return now is not None and now.start == process.start and now.alive


def kill(victims: list[Process], grace: float, patience: float = 0.0) -> list[Process]:
    """
    End the processes: after ``patience`` seconds politely, ``grace`` seconds later not; return those that even that did not end.

    Only processes that are still the ones they were are signalled, so a number that the kernel gave away again is safe.
    """
    _wait_gone(victims, patience)
    for signal_number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, 5.0)):
        victims = [victim for victim in victims if _same(victim)]
        for victim in victims:
            _signal(victim, signal_number)
        _wait_gone(victims, seconds)
    return [victim for victim in victims if _same(victim)]


def _signal(victim: Process, number: signal.Signals) -> None:
    try:
        os.kill(victim.pid, number)
    except ProcessLookupError:
        return


def _wait_gone(victims: list[Process], seconds: float) -> None:
    if not victims:
        return
    try:
        wait.until(lambda: not any(_same(victim) for victim in victims), seconds, "the processes to end")
    except wait.WaitTimeoutError:
        return
