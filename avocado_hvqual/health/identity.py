# SPDX-License-Identifier: GPL-2.0-or-later
"""Is it still the same host and the same libvirtd: boot id, pid and start time, before and after."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
DAEMONS = ("libvirtd", "virtqemud")
HOST_VARIABLE = "HVQUAL_HOST_ID"
"""Set in a host of the lab, to its name."""


@dataclass(frozen=True)
class Identity:
    """The host's boot id and the libvirt daemon's pid and start time in clock ticks since boot (both None when it is not running)."""

    boot_id: str
    daemon_pid: Optional[int]
    daemon_start: Optional[int]


def _start_ticks(proc: Path) -> int:
    # The command name may hold blanks and parentheses; field 22 of the line is counted from behind the last one.
    return int((proc / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19])


def _namespace(proc: Path) -> str:
    return os.readlink(proc / "ns/pid")  # noqa: PTH115 - the link names no file


def _daemon(root: Path) -> Optional[tuple[int, int]]:
    namespace = _namespace(root / "self")
    for proc in sorted((entry for entry in root.iterdir() if entry.name.isdigit()), key=lambda entry: int(entry.name)):
        try:
            if (proc / "comm").read_text(encoding="utf-8").strip() in DAEMONS and _namespace(proc) == namespace:
                return int(proc.name), _start_ticks(proc)
        except (OSError, IndexError, ValueError):
            continue  # the process went away between listing and reading
    return None


def boot(root: Path = Path("/proc")) -> str:
    """
    Return what names this boot of the host, and no other one.

    A host of the lab shares the machine's kernel and so its boot id; it boots anew when its first process does.
    """
    machine, host = BOOT_ID.read_text(encoding="ascii").strip(), os.environ.get(HOST_VARIABLE)
    return f"{machine}/{host}-{_start_ticks(root / '1')}" if host else machine


def now(root: Path = Path("/proc")) -> Identity:
    """Return the identity as it is at this moment; only a daemon in our own pid namespace counts, another host's is not ours."""
    return Identity(boot(root), *(_daemon(root) or (None, None)))


def changes(before: Identity, after: Identity) -> list[tuple[str, str]]:
    """Return (finding kind, sentence) for each thing that is no longer the same."""
    found = []
    if before.boot_id != after.boot_id:
        found.append(
            (
                "host-reboot",
                f"The host was rebooted meanwhile: its boot id was {before.boot_id} and is {after.boot_id}.",
            )
        )
    elif (before.daemon_pid, before.daemon_start) != (after.daemon_pid, after.daemon_start):
        found.append(
            (
                "libvirtd-restart",
                f"libvirtd is not the process that it was: {_tell(before)} before, {_tell(after)} after.",
            )
        )
    return found


def _tell(identity: Identity) -> str:
    if identity.daemon_pid is None:
        return "none running"
    return f"pid {identity.daemon_pid} started at tick {identity.daemon_start}"
