# SPDX-License-Identifier: GPL-2.0-or-later
"""Control groups with the limits that somebody set, without the sessions that systemd makes for logins and timers."""

from __future__ import annotations

import os
import re

from provider.hvqual.node_items.source import Source

IGNORED: dict[str, str] = {
    r"user\.slice/.*": "login sessions come and go",
    r".*/(session-[^/]+|run-[^/]+|[^/]+-\d+)\.scope(/.*)?": "transient units of logins and commands",
    r"system\.slice/[^/]+\.service(/.*)?": "services, timers' too: told by item 'units'",
    r"system\.slice/.*\.(mount|swap|socket)(/.*)?": "units: told by items 'mounts' and 'sockets'",
    r"init\.scope(/.*)?": "systemd's own",
}
# libvirt 9.0 makes its partition with the first guest and never removes it; what stands below it is told.
PARTITIONS = frozenset({"machine", "machine.slice"})
_IGNORED = re.compile("(?:" + "|".join(IGNORED) + ")$")
# A guest's own scope holds its number in this run of libvirtd.
_MACHINE = re.compile(r"qemu(-|\\x2d)\d+(?=-|\\x2d)")
LIMITS = (
    "cpuset.cpus", "cpuset.mems", "cpu.max", "cpu.weight", "cpu.cfs_quota_us", "cpu.shares", "memory.max", "memory.high",
    "memory.limit_in_bytes", "pids.max", "io.max", "io.weight", "blkio.weight", "freezer.state", "cgroup.freeze", "cpuset.cpus.partition",
)  # fmt: skip


def cgroups(source: Source) -> list[str]:
    """Each group of each hierarchy with its limits."""
    lines: list[str] = []
    for point, label in _hierarchies(source):
        top = source.path(point)
        # Hierarchies may be nested below another (unified below a tmpfs); each is walked alone, a folder of other controllers is none.
        for folder, folders, files in os.walk(top):
            path = os.path.relpath(folder, top)
            folders[:] = [name for name in folders if not _IGNORED.match(name if path == "." else f"{path}/{name}")]
            if path != "." and path not in PARTITIONS:
                lines.append(_group(folder, label, path, set(files)))
    return lines or ["none = no control groups are mounted"]


def _hierarchies(source: Source) -> list[tuple[str, str]]:
    """Mount point and controllers of each hierarchy."""
    found = {}
    for line in (source.text("/proc/self/mountinfo") or "").splitlines():
        head, _, tail = line.partition(" - ")
        kind = tail.split(" ", 1)[0]
        if kind in {"cgroup", "cgroup2"}:
            point = head.split()[4]
            found[point] = "unified" if kind == "cgroup2" else point.rpartition("/")[2]
    return sorted(found.items())


def _group(folder: str, label: str, path: str, files: set[str]) -> str:
    values = []
    for name in LIMITS:
        if name in files:
            try:
                with open(os.path.join(folder, name), encoding="ascii", errors="replace") as stream:  # noqa: PTH118, PTH123 - speed
                    values.append(f"{name} {' '.join(stream.read().split())}")
            except OSError:
                continue  # the group was removed meanwhile: the walk of the next capture tells
    return f"{label} {_MACHINE.sub('qemu-N', path)}" + (f" = {', '.join(values)}" if values else "")
