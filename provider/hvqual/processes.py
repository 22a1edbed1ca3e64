# SPDX-License-Identifier: GPL-2.0-or-later
"""Which process is meant, also after its number was given to another one, from another pid namespace, or after a reboot."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Identity:
    """One process for ever: its number in its pid namespace, start time in clock ticks since boot, and the boot it belongs to."""

    pid: int
    start: int
    boot_id: str
    pid_ns: int

    def as_json(self) -> dict[str, Any]:
        """The fields as JSON knows them."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Identity:
        """The identity from as_json(); KeyError, TypeError or ValueError when it is not one."""
        return cls(int(fields["pid"]), int(fields["start"]), str(fields["boot_id"]), int(fields["pid_ns"]))


def boot_id() -> str:
    """The kernel's id of this boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def namespace_inode(pid: int | str = "self") -> int:
    """The inode number of a process's pid namespace."""
    return Path(f"/proc/{pid}/ns/pid").stat().st_ino


def stat_fields(pid: int) -> tuple[str, int]:
    """State letter and start time (clock ticks since boot) of a process; OSError when there is none."""
    text = Path(f"/proc/{pid}/stat").read_text()
    fields = text[text.rindex(")") + 2 :].split()
    return fields[0], int(fields[19])


def identity(pid: int | None = None) -> Identity:
    """The identity of a process of our own pid namespace (default: this one); OSError when it does not exist."""
    number = os.getpid() if pid is None else pid
    return Identity(number, stat_fields(number)[1], boot_id(), namespace_inode())


def find(wanted: Identity) -> int | None:
    """The number under which *wanted* is visible here now, None when it is gone, a zombie, or in a namespace out of our sight."""
    if wanted.boot_id != boot_id():
        return None
    if wanted.pid_ns == namespace_inode():
        candidates = [wanted.pid]
    else:
        candidates = [
            int(name)
            for name in os.listdir("/proc")  # noqa: PTH208 - twice as fast
            if name.isdigit() and _inner_pid(name, wanted.pid_ns) == wanted.pid
        ]
    for pid in candidates:
        try:
            state, start = stat_fields(pid)
        except (OSError, ValueError):
            continue
        if start == wanted.start and state not in "ZXx":
            return pid
    return None


def _inner_pid(pid: str, inode: int) -> int | None:
    """The number that a process has in the pid namespace *inode*, None when it does not live there."""
    try:
        if namespace_inode(pid) != inode:
            return None
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    numbers = next((line.split()[1:] for line in lines if line.startswith("NSpid:")), [])
    return int(numbers[-1]) if numbers else None
