# SPDX-License-Identifier: GPL-2.0-or-later
"""The QEMU process of a guest as the host's /proc shows it: the third witness beside libvirt and the guest."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True)
class Emulator:
    """One QEMU process."""

    pid: int
    argv: tuple[str, ...]
    cgroups: str

    def option(self, name: str) -> str:
        """Return the value of the command-line option *name* ('' when it was not given)."""
        return next((value for key, value in zip(self.argv, self.argv[1:]) if key == name), "")

    @property
    def vcpus(self) -> int:
        """The CPUs that QEMU was told to present at start (-smp)."""
        found = re.match(r"(?:cpus=)?(\d+)", self.option("-smp"))
        return int(found[1]) if found else 0

    @property
    def memory_mib(self) -> int:
        """The memory that QEMU was told to present at start, in MiB (-m size=...k or a bare number of MiB)."""
        found = re.match(r"(?:size=)?(\d+)([kKmMgG]?)", self.option("-m"))
        if not found:
            return 0
        return {"k": int(found[1]) // 1024, "g": int(found[1]) * 1024}.get(found[2].lower(), int(found[1]))


def commands() -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Give each live process with its folder in /proc and its arguments; who has ended meanwhile is left out."""
    for folder in PROC.iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                yield folder, tuple((folder / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1])


def emulators(name: str) -> list[Emulator]:
    """Return the live processes that run the guest *name*: whose -name option is it (libvirt: guest=NAME,...)."""
    found = []
    for folder, argv in commands():
        try:
            cgroups = (folder / "cgroup").read_text(encoding="utf-8")
        except (FileNotFoundError, ProcessLookupError):
            continue
        process = Emulator(int(folder.name), argv, cgroups)
        if process.option("-name").split(",")[0] in {name, f"guest={name}"}:
            found.append(process)
    return found


def cgroup_folders(name: str) -> list[Path]:
    """Return the cgroup folders that libvirt made for the guest *name* and that are still there."""
    escaped = name.replace("-", "\\x2d")
    parts = re.compile(rf"(qemu-\d+-{re.escape(name)}|{re.escape(escaped)})(\.|$)")
    return [
        Path(top) / folder
        for top, folders, _ in os.walk("/sys/fs/cgroup")
        for folder in folders
        if parts.search(folder)
    ]


def resident(pid: int) -> int:
    """Return how much memory the process *pid* has in use (bytes), 0 when it has ended."""
    try:
        pages = int((PROC / str(pid) / "statm").read_text(encoding="ascii").split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
