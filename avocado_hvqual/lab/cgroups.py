# SPDX-License-Identifier: GPL-2.0-or-later
"""
Cgroups of the lab, for version 1, version 2 and the hybrid of both.

A lab has one cgroup in each hierarchy, a host one below it. A host's first process is moved there before it gets a cgroup namespace,
so that the host takes its own cgroup for the root of all.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import signal
from collections.abc import Iterable
from pathlib import Path

from avocado_hvqual import wait
from avocado_hvqual.errors import LabError
from avocado_hvqual.lab.budget import Budget

#: The weight of one CPU in a cgroup of version 1 and 2.
CPU_SHARES, CPU_WEIGHT = 1024, 100
_V2 = 2
_CONTROLLERS_V2 = ("cpuset", "cpu", "io", "memory", "pids", "hugetlb")


@dataclasses.dataclass(frozen=True)
class Hierarchy:
    """One mounted hierarchy: *version* 1 with its *options* (controllers or name=...), or version 2."""

    mount: Path
    version: int
    options: tuple[str, ...] = ()


def parse_mounts(mountinfo: str) -> list[Hierarchy]:
    """Return the cgroup hierarchies of a /proc/self/mountinfo, each once."""
    found: dict[tuple[int, tuple[str, ...]], Hierarchy] = {}
    for line in mountinfo.splitlines():
        before, separator, after = line.partition(" - ")
        if not separator:
            continue
        kind, _source, super_options = after.split(" ", 2)
        if kind not in ("cgroup", "cgroup2"):
            continue
        mount = Path(re.sub(r"\\([0-7]{3})", lambda code: chr(int(code.group(1), 8)), before.split(" ")[4]))
        version = 1 if kind == "cgroup" else 2
        generic = {"rw", "ro", "xattr", "clone_children", "noprefix", "nsdelegate", "memory_recursiveprot"}
        options = () if version == _V2 else tuple(word for word in super_options.split(",") if word not in generic)
        found.setdefault(
            (version, options), Hierarchy(mount, version, tuple(o for o in options if "release_agent" not in o))
        )
    return list(found.values())


def hierarchies() -> list[Hierarchy]:
    """Return the hierarchies of this machine; raise `LabError` if there is none."""
    found = parse_mounts(Path("/proc/self/mountinfo").read_text(encoding="utf-8"))
    if not found:
        msg = "No cgroup hierarchy is mounted; mount one at /sys/fs/cgroup, as systemd does."
        raise LabError(msg)
    return found


def create(name: str, budget: Budget, where: Iterable[Hierarchy]) -> list[Path]:
    """Make the cgroup *name* with its limits in each hierarchy and return the folders; what exists is kept and limited anew."""
    folders = []
    for hierarchy in where:
        folder = hierarchy.mount
        for part in Path(name).parts:
            if hierarchy.version == _V2:
                enable_controllers(folder)
            folder = folder / part
            folder.mkdir(exist_ok=True)
            inherit_cpuset(folder)
        limit(folder, budget)
        folders.append(folder)
    return folders


def inherit_cpuset(folder: Path) -> None:
    """Fill the CPUs and memory nodes of a version 1 cpuset: while they are empty no process can enter it."""
    for item in ("cpuset.cpus", "cpuset.mems"):
        if (
            (folder / item).exists()
            and (folder.parent / item).exists()
            and not (folder / item).read_text(encoding="ascii").strip()
        ):
            _write(folder / item, (folder.parent / item).read_text(encoding="ascii").strip())


def enable_controllers(folder: Path) -> None:
    """Hand the controllers of a version 2 cgroup on to its children; one that the kernel refuses (threads, real time) is left out."""
    offered = (folder / "cgroup.controllers").read_text(encoding="ascii").split()
    for controller in _CONTROLLERS_V2:
        if controller in offered:
            with contextlib.suppress(OSError):
                _write(folder / "cgroup.subtree_control", f"+{controller}")


def limit(folder: Path, budget: Budget) -> None:
    """
    Write *budget* into those limits that *folder* has.

    CPU time is a weight and no quota: each host gets its part when both want more than there is, and what one leaves the other may
    use. Under a quota the kernel hands time out in slices to each CPU, and equal guests got up to a third more or less than each
    other (seen with 1.5 CPUs for four of them, Linux 6.18).
    """
    for item, value in (
        ("cpu.cfs_quota_us", "-1"),
        ("cpu.max", "max"),
        ("cpu.shares", str(round(budget.cpus * CPU_SHARES))),
        ("cpu.weight", str(max(1, round(budget.cpus * CPU_WEIGHT)))),
        ("memory.limit_in_bytes", str(budget.memory_bytes)),
        ("memory.max", str(budget.memory_bytes)),
        ("pids.max", str(budget.processes)),
    ):
        if (folder / item).exists():
            _write(folder / item, value)


def limits_missing(folders: Iterable[Path]) -> list[str]:
    """Return which of cpu, memory and pids no hierarchy limits in *folders*."""
    present = {item for folder in folders for item in (path.name for path in folder.iterdir())}
    needed = {
        "cpu": ("cpu.shares", "cpu.weight"),
        "memory": ("memory.limit_in_bytes", "memory.max"),
        "pids": ("pids.max",),
    }
    return [name for name, items in needed.items() if not present.intersection(items)]


def members(folder: Path) -> list[int]:
    """Return the processes in *folder* and below."""
    found = []
    for path, _folders, files in os.walk(folder):
        if "cgroup.procs" in files:
            with contextlib.suppress(OSError):
                found += [int(word) for word in (Path(path) / "cgroup.procs").read_text(encoding="ascii").split()]
    return [pid for pid in found if pid > 0]


def remove(name: str, where: Iterable[Hierarchy]) -> None:
    """Kill what lives in the cgroup *name* and remove it from every hierarchy, with what is below; parents that are empty go too."""
    for hierarchy in where:
        folder = hierarchy.mount / name
        if folder.is_dir():
            wait.until(lambda folder=folder: _emptied(folder), 10, f"the processes in {folder} to end", interval=0.02)  # type: ignore[misc]
            wait.until(lambda folder=folder: _removed(folder), 5, f"the kernel to give {folder} back", interval=0.02)  # type: ignore[misc]
        for parent in Path(name).parents:
            if parent.name and (hierarchy.mount / parent).is_dir():
                with contextlib.suppress(OSError):
                    (hierarchy.mount / parent).rmdir()


def _emptied(folder: Path) -> bool:
    """Kill all members of *folder*; true when there is none left."""
    living = members(folder)
    for pid in living:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return not living


def _removed(folder: Path) -> bool:
    """Remove *folder* and the cgroups below, the deepest first; false while one is busy."""
    for path, _folders, _files in os.walk(folder, topdown=False):
        try:
            Path(path).rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            return False
    return True


def _write(path: Path, value: str) -> None:
    """Write *value* to a file of the kernel; an error names both."""
    try:
        path.write_text(value, encoding="ascii")
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror}: writing '{value}'", str(path)) from error
