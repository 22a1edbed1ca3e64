# SPDX-License-Identifier: GPL-2.0-or-later
"""Mounts and swap, loop devices, device mapper and network block devices."""

from __future__ import annotations

import re

from provider.hvqual.node_items.source import Source

IGNORED_MOUNTS: dict[str, str] = {
    r"/run/user/\d+(/.*)?": "login sessions",
    r"/run/credentials/.*": "systemd mounts them for each start of a service",
    r"/proc/sys/fs/binfmt_misc": "an automount",
}
_IGNORED = re.compile("(?:" + "|".join(IGNORED_MOUNTS) + ")$")


def mounts(source: Source) -> list[str]:
    """What is mounted where, how and from what; swap areas."""
    lines = []
    for line in (source.text("/proc/self/mountinfo") or "").splitlines():
        head, _, tail = line.partition(" - ")
        _, _, _, root, point, options, *propagation = head.split()
        kind, what, _ = [*tail.split(" ", 2), ""][:3]
        if not _IGNORED.match(point):
            shared = ",".join(sorted(word.partition(":")[0] for word in propagation)) or "private"
            lines.append(f"{point} = {kind} of {what}, root {root}, {options}, {shared}")
    swaps = (source.text("/proc/swaps") or "").splitlines()[1:]
    return lines + [f"swap {line.split()[0]}" for line in swaps if line]


def loop(source: Source) -> list[str]:
    """Loop and network block devices that are bound to something; the kernel makes unbound nodes by itself."""
    lines = []
    for name in source.names("/sys/block"):
        backing = source.setting(f"/sys/block/{name}/loop/backing_file") if name.startswith("loop") else None
        if backing is not None:
            read_only = source.setting(f"/sys/block/{name}/ro")
            lines.append(
                f"{name} = {backing}, offset {source.setting(f'/sys/block/{name}/loop/offset')}, read-only {read_only}"
            )
        if name.startswith("nbd") and source.setting(f"/sys/block/{name}/pid") is not None:
            lines.append(f"{name} = connected")
    return lines


def dm(source: Source) -> list[str]:
    """Device-mapper devices: name, uuid, size, suspended or not."""
    lines = []
    for name in source.names("/sys/block"):
        label = source.setting(f"/sys/block/{name}/dm/name") if name.startswith("dm-") else None
        if label is not None:
            uuid, size = source.setting(f"/sys/block/{name}/dm/uuid"), source.setting(f"/sys/block/{name}/size")
            lines.append(
                f"{label} = uuid {uuid or '-'}, sectors {size}, suspended {source.setting(f'/sys/block/{name}/dm/suspended')}"
            )
    return lines
