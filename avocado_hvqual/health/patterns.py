# SPDX-License-Identifier: GPL-2.0-or-later
"""The lines of a kernel log that mean something for a node, and what: an ordered table, the first match wins."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Optional

from avocado_hvqual.health.kmsg import Record

CRITICAL_LEVEL = 2
"""KERN_CRIT; a line of the kernel's own at this level or worse counts even when no pattern knows it."""


@dataclass(frozen=True)
class Pattern:
    """A kind of line: its name in reports, the finding kind (value of model.FindingKind), and how it is recognised."""

    name: str
    kind: str
    expression: re.Pattern[str]


def _row(name: str, kind: str, expression: str) -> Pattern:
    return Pattern(name, kind, re.compile(expression))


UNCLASSIFIED = _row("an unclassified critical line", "host-log", r"")

PATTERNS = (
    _row("panic", "host-panic", r"Kernel panic - not syncing"),
    _row("hard lockup", "host-lockup", r"hard LOCKUP"),
    _row("soft lockup", "host-lockup", r"soft lockup"),
    _row("RCU stall", "host-lockup", r"\brcu\w*:? .*(detected stalls?|kthread starved)"),
    _row("hung task", "host-lockup", r"INFO: task .* blocked for more than \d+ seconds"),
    _row(
        "oops", "host-panic", r"\bOops\b|\bBUG: |kernel BUG at|general protection fault, .*0000|Unable to handle kernel"
    ),
    _row("MCE", "host-mce", r"\[Hardware Error\]|\bmce: .*(error|event|threshold)|Machine [Cc]heck"),
    _row("EDAC", "host-mce", r"\bEDAC .*\b(CE|UE)\b"),
    _row("OOM", "host-log", r"\boom-kill:|Out of memory: Kill|Memory cgroup out of memory: Kill"),
    _row(
        "lost write",
        "data-loss",
        r"lost (async |sync )?page write|Delayed block allocation failed|This should not happen!! Data will be lost",
    ),
    _row(
        "I/O error",
        "host-log",
        r"I/O error|EXT4-fs error|XFS .*[Cc]orruption|BTRFS (error|critical)|critical (medium|target) error",
    ),
    _row("QEMU crash", "qemu-crash", r"\bqemu\S*\[\d+\]:? (segfault|trap|general protection)|traps: qemu"),
    _row("libvirt crash", "host-log", r"\b(libvirtd|virt\w+d|dnsmasq)\[\d+\]:? (segfault|trap|general protection)"),
    _row("WARNING", "host-log", r"\bWARNING: "),
)

SUPPRESSED = re.compile(r"callbacks suppressed|printk messages dropped")
"""The kernel says that it kept lines back: what they were nobody knows."""


def classify(record: Record) -> Optional[Pattern]:
    """
    Return the first pattern that the record matches, None for an ordinary line.

    Lines that a program wrote to the log count like the kernel's own: telling them apart would let a fault be hidden as one.
    """
    for pattern in PATTERNS:
        if pattern.expression.search(record.text):
            return pattern
    if record.facility == 0 and record.level <= CRITICAL_LEVEL:
        return UNCLASSIFIED
    return None
