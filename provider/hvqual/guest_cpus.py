# SPDX-License-Identifier: GPL-2.0-or-later
"""Which CPUs a guest has by its own kernel's word: present, online, by which APIC id, and the interrupts that each has had."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from provider.hvqual.asked import Asked
from provider.hvqual.shares import cpus

ASK = (
    "cd /sys/devices/system/cpu; echo present $(cat present); echo online $(cat online); "
    "grep -E '^(processor|apicid)' /proc/cpuinfo; grep -E 'CPU0|^ *[A-Z]+:' /proc/interrupts; "
    # The raw form has the level before each line: 0 to 3 are errors and worse.
    "echo errors $(dmesg -r | grep -c '^<[0-3]>')"
)
LOCAL_TIMER = "LOC:"


@dataclass(frozen=True)
class GuestCpus:
    """The CPUs of a guest as its kernel numbers them."""

    present: frozenset[int] = frozenset()
    online: frozenset[int] = frozenset()
    apic: dict[int, int] = field(default_factory=dict)
    """The APIC id of each CPU that is online."""
    ticks: dict[int, int] = field(default_factory=dict)
    """The interrupts of the local timer that each CPU that is online has had."""
    errors: int = 0
    """The lines of the kernel's log that are errors, or worse."""

    def by_apic(self, ids: Iterable[int]) -> frozenset[int]:
        """Return the numbers of the CPUs with these APIC ids, as far as they are online."""
        wanted = frozenset(ids)
        return frozenset(cpu for cpu, apic in self.apic.items() if apic in wanted)


def told(guest: Asked) -> GuestCpus:
    """Return what the guest says of its CPUs now."""
    return parsed(guest.ask(ASK))


def parsed(text: str) -> GuestCpus:
    """Return what the answer to `ASK` says."""
    lists: dict[str, str] = {}
    apic: dict[int, int] = {}
    ticks: dict[int, int] = {}
    columns: list[int] = []
    processor = -1
    for line in text.splitlines():
        words = line.split()
        if line.startswith(("present", "online", "errors")):
            lists[words[0]] = "".join(words[1:])
        elif line.startswith("processor"):
            processor = int(words[-1])
        elif line.startswith("apicid"):
            apic[processor] = int(words[-1])
        elif re.match(r"\s*CPU0\b", line):
            columns = [int(word[3:]) for word in words]
        elif words and words[0] == LOCAL_TIMER:
            ticks = _ticks(columns, words[1:])
    return GuestCpus(
        present=frozenset(cpus(lists.get("present", ""))),
        online=frozenset(cpus(lists.get("online", ""))),
        apic=apic,
        ticks=ticks,
        errors=int(lists.get("errors") or 0),
    )


def _ticks(columns: list[int], words: list[str]) -> dict[int, int]:
    """
    Return the interrupts of each CPU of *columns*, none where the line has not a number for each.

    A CPU that went while the file was read has a column, but no number (seen: Linux 6.1).
    """
    numbers = list(itertools.takewhile(str.isdecimal, words))
    return dict(zip(columns, map(int, numbers))) if len(numbers) == len(columns) else {}
