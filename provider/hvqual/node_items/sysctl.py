# SPDX-License-Identifier: GPL-2.0-or-later
"""Everything beneath /proc/sys but what changes by itself; each exception has its reason here."""

from __future__ import annotations

import os
import re

from provider.hvqual.node_items.source import Source

IGNORED: dict[str, str] = {
    r"kernel/random/(uuid|boot_id|entropy_avail)": "new with each read or boot; the boot is told by the host's health",
    r"kernel/ns_last_pid": "the number of the newest process",
    r"kernel/pty/nr": "open terminals",
    r"kernel/tainted": "the host's health tells kernel warnings; it cannot be put back",
    r"kernel/perf_event_max_sample_rate": "the kernel lowers it by itself under load",
    r"kernel/keys/.*_quota_used": "a count",
    r"kernel/sched_domain/.*": "costs that the scheduler measures",
    r"kernel/(msg|sem|shm)_next_id": "consumed by the next request",
    r"kernel/cad_pid": "a process number",
    r"fs/(dentry-state|inode-nr|inode-state|file-nr|aio-nr)": "counts of objects in use",
    r"fs/quota/.*": "counts of quota operations",
    r"fs/binfmt_misc.*": "an automount: looking would mount it; the mount itself is in 'mounts'",
    r"fs/xfs/stats_clear": "a trigger",
    r"vm/(compact_memory|drop_caches|stat_refresh)": "triggers: reading shows the last write, or makes work",
    r"vm/nr_(overcommit_)?hugepages(_mempolicy)?": "item 'hugepages' has it for each size",
    r"vm/user_reserve_kbytes": "made of the memory that is free at boot: another value after each one",
    r"vm/(dirty|mem).*_writeback_pages": "a count",
    r"net/netfilter/nf_conntrack_count": "connections seen now",
    r"net/ipv[46]/route/flush": "a trigger",
    r"net/ipv6/conf/[^/]+/stable_secret": "a secret; unreadable until one is set",
    r"net/ipv4/tcp_fastopen_key": "a secret",
    r"debug/.*": "counters of debugging builds",
    r"dev/cdrom/info": "hardware told by the drive",
    r"dev/raid/.*_current": "a rate",
}
_IGNORED = re.compile("(?:" + "|".join(IGNORED) + ")$")
_ROOT = "/proc/sys"
_LIMIT = 4096


def sysctl(source: Source) -> list[str]:
    """Each readable setting with its value."""
    lines: list[str] = []
    _walk(source.path(_ROOT), "", lines)
    return lines


def _walk(folder: str, prefix: str, lines: list[str]) -> None:
    """Add the settings of one folder and those beneath it."""
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        key = f"{prefix}{entry.name}"
        if _IGNORED.match(key):
            continue
        if entry.is_dir(follow_symlinks=False):
            _walk(entry.path, f"{key}/", lines)
        else:
            value = _read(entry.path)
            if value is not None:
                lines.append(f"{key} = {value}")


def _read(path: str) -> str | None:
    """A setting's value with single blanks, None when it cannot be read (write-only ones)."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        return " ".join(os.read(descriptor, _LIMIT).decode(errors="replace").split())
    except OSError:
        return None
    finally:
        os.close(descriptor)
