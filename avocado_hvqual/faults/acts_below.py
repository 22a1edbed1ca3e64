# SPDX-License-Identifier: GPL-2.0-or-later
"""What can happen to a guest below libvirt, which no virsh knows of: found by its process, as the host's /proc shows it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Callable

from avocado_hvqual.errors import HvqualError
from avocado_hvqual.wait import until

PREFIX = "hvq-"
FREEZE = 3.0
TAP = re.compile(r"^iff:\s*(\S+)$", re.MULTILINE)


def emulators() -> list[int]:
    """Return the processes whose option -name is a guest of ours; HvqualError when there is none."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                argv = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            if any(key == "-name" and value.startswith(PREFIX) for key, value in zip(argv, argv[1:])):
                found.append(int(folder.name))
    if not found:
        message = "There is no QEMU of ours to seed a fault in."
        raise HvqualError(message)
    return found


def kill_qemu() -> None:
    """Kill QEMU as a crash or the OOM killer would."""
    for pid in emulators():
        os.kill(pid, signal.SIGKILL)


def freeze() -> None:
    """Stop the QEMU process for 3 s."""
    pids = emulators()
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        _pass()
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def link_down() -> None:
    """Take the host's end of the guest's network down for 3 s."""
    taps = [name for pid in emulators() for name in _taps(pid)]
    try:
        _set(taps, "down")
        _pass()
    finally:
        _set(taps, "up")


def _taps(pid: int) -> list[str]:
    return [name for file in Path(f"/proc/{pid}/fdinfo").iterdir() for name in TAP.findall(file.read_text("ascii"))]


def _set(taps: list[str], state: str) -> None:
    for name in taps:
        done = subprocess.run(["ip", "link", "set", name, state], capture_output=True, text=True, check=False)
        if done.returncode:
            message = f"'ip link set {name} {state}' failed while a fault was seeded: {done.stderr.strip()}"
            raise HvqualError(message)


def _pass() -> None:
    end = time.monotonic() + FREEZE
    until(lambda: time.monotonic() >= end, FREEZE + 1, "the fault to last")


BELOW_ACTS: dict[str, Callable[[], None]] = {
    "kill-qemu-below": kill_qemu,
    "freeze-below": freeze,
    "link-down-below": link_down,
}
