# SPDX-License-Identifier: GPL-2.0-or-later
"""Processes that were stopped or started: let them run on, end them."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from provider.hvqual import processes, wait

_TIMEOUT_S = 10.0
_TERM_S = 2.0


def resume_process(details: dict[str, Any], _home: Path) -> tuple[str, str]:
    """Let a stopped process run on."""
    wanted = processes.Identity.from_json(details["process"])
    pid = processes.find(wanted)
    if pid is None:
        return "gone", f"process {wanted.pid} has ended"
    os.kill(pid, signal.SIGCONT)
    wait.until(lambda: _runs_or_ended(wanted), _TIMEOUT_S, f"process {pid} to run on after SIGCONT")
    return "restored", f"process {pid} runs on"


def _runs_or_ended(wanted: processes.Identity) -> bool:
    """Whether a process is no longer stopped, or no longer there."""
    pid = processes.find(wanted)
    try:
        return pid is None or processes.stat_fields(pid)[0] not in {"T", "t"}
    except OSError:
        return True


def kill_process(details: dict[str, Any], _home: Path) -> tuple[str, str]:
    """End a process that we started, known by number and start time."""
    wanted = processes.Identity.from_json(details["process"])
    if processes.find(wanted) is None:
        return "gone", f"process {wanted.pid} has ended"
    if not _end(wanted):
        return "failed", f"process {wanted.pid} lives on after SIGKILL"
    return "restored", f"process {wanted.pid} ended"


def kill_matching(details: dict[str, Any], _home: Path) -> tuple[str, str]:
    """End each process whose command line holds the given words in a row."""
    words = [str(word) for word in details["words"]]
    found = matching(words)
    left = [wanted.pid for wanted in found if not _end(wanted)]
    if left or matching(words):
        return "failed", f"processes {left} with '{' '.join(words)}' live on after SIGKILL"
    return (
        ("restored", f"processes {[it.pid for it in found]} ended")
        if found
        else ("gone", f"no process has '{' '.join(words)}'")
    )


def matching(words: list[str]) -> list[processes.Identity]:
    """The living processes, but this one, whose command line holds *words* in a row."""
    found = []
    for name in os.listdir("/proc"):  # noqa: PTH208
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            line = Path(f"/proc/{name}/cmdline").read_text(errors="replace").split("\0")
            state = processes.stat_fields(int(name))[0]
            if state not in "ZXx" and any(line[at : at + len(words)] == words for at in range(len(line))):
                found.append(processes.identity(int(name)))
        except (OSError, ValueError):
            continue  # it ended while we looked
    return found


def _end(wanted: processes.Identity) -> bool:
    """SIGTERM, then SIGKILL; whether it ended."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        pid = processes.find(wanted)
        if pid is None:
            return True
        try:
            os.kill(pid, number)
            wait.until(lambda: processes.find(wanted) is None, _TERM_S, f"process {pid} to end")
        except ProcessLookupError:
            return True
        except wait.WaitTimeoutError:
            continue
    return processes.find(wanted) is None
