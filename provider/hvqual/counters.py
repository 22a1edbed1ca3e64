# SPDX-License-Identifier: GPL-2.0-or-later
"""
Counters of a guest over ways that know nothing of each other: libvirt's commands, the guest's own kernel, the host's.

Each reader is pure: it takes the text and returns numbers; what is missing in the text is missing in the answer.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

PROC = Path("/proc")
NETWORK = Path("/sys/class/net")
SECTOR = 512
# What only grows while a guest runs.
GROWS = re.compile(
    r"^(cpu\.(time|user|system)|vcpu\.\d+\.time|net\.\d+\.[rt]x\.(bytes|pkts)|block\.\d+\.(rd|wr|fl)\.(reqs|bytes|times))$"
)


def domstats(text: str) -> dict[str, int]:
    """Return the numbers of ``virsh domstats`` by name; words are left out."""
    return _pairs(text, r"^\s*([\w.-]+)=(-?\d+)$")


def command_stats(text: str) -> dict[str, int]:
    """Return the numbers of ``virsh domblkstat``, ``domifstat`` and ``dommemstat`` by the last word before each."""
    return _pairs(text, r"(\S+)\s+(-?\d+)\s*$")


def cpu_stats(text: str) -> dict[str, float]:
    """Return the seconds of ``virsh cpu-stats --total`` by name."""
    return {name: float(value) for name, value in re.findall(r"(\w+)\s+([\d.]+) seconds", text)}


def diskstats(text: str) -> dict[str, tuple[int, int]]:
    """Return (bytes read, bytes written) of each disk in the guest's /proc/diskstats."""
    rows = [line.split() for line in text.splitlines()]
    return {row[2]: (int(row[5]) * SECTOR, int(row[9]) * SECTOR) for row in rows if len(row) > 9}  # noqa: PLR2004 - columns


def net_dev(text: str) -> tuple[int, int]:
    """Return (bytes received, bytes sent) of all network interfaces but the loopback in the guest's /proc/net/dev."""
    rows = [line.replace(":", " ").split() for line in text.splitlines() if ":" in line]
    rows = [row for row in rows if row[0] != "lo"]
    return sum(int(row[1]) for row in rows), sum(int(row[9]) for row in rows)


def meminfo(text: str) -> dict[str, int]:
    """Return /proc/meminfo in KiB by name."""
    return _pairs(text, r"^(\w+):\s+(\d+) kB")


def total(stats: Mapping[str, int], pattern: str) -> int:
    """Return the sum of the counters whose names match *pattern* as a whole."""
    return sum(value for name, value in stats.items() if re.fullmatch(pattern, name))


def went_back(samples: Iterable[Mapping[str, int]]) -> list[str]:
    """Return the counters that only grow and became less, or vanished, from one sample to the next."""
    found: dict[str, None] = {}
    last: Mapping[str, int] = {}
    for sample in samples:
        found.update((name, None) for name in last if GROWS.match(name) and sample.get(name, -1) < last[name])
        last = sample
    return list(found)


def process_seconds(pid: int) -> float:
    """Return the CPU time that the host's kernel charged the process with, in seconds."""
    return _seconds(PROC / str(pid) / "stat")


def vcpu_seconds(pid: int) -> float:
    """Return the CPU time of the threads of *pid* that run vCPUs (QEMU names them 'CPU 0/KVM', 'CPU 0/TCG'), in seconds."""
    tasks = (PROC / str(pid) / "task").iterdir()
    return sum(_seconds(task / "stat") for task in tasks if (task / "comm").read_text().startswith("CPU "))


def resident_kib(pid: int) -> int:
    """Return how much memory of the process the host holds, in KiB."""
    return _pairs((PROC / str(pid) / "status").read_text(), r"^(VmRSS):\s+(\d+) kB")["VmRSS"]


def written_bytes(pid: int) -> int:
    """Return how many bytes the process had the host's storage write."""
    return _pairs((PROC / str(pid) / "io").read_text(), r"^(write_bytes): (\d+)")["write_bytes"]


def link_bytes(links: Iterable[str]) -> tuple[int, int]:
    """Return (bytes received, bytes sent) by a guest behind the host's *links*, whose own directions are the reverse."""
    names = list(links)
    counted = {way: sum(int((NETWORK / link / "statistics" / way).read_text()) for link in names) for way in _WAYS}
    return counted["tx_bytes"], counted["rx_bytes"]


_WAYS = ("rx_bytes", "tx_bytes")


def _seconds(stat: Path) -> float:
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _pairs(text: str, pattern: str) -> dict[str, int]:
    return {name: int(value) for name, value in re.findall(pattern, text, re.MULTILINE)}
