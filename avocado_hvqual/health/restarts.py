# SPDX-License-Identifier: GPL-2.0-or-later
"""
Restarts of the libvirt daemon that a case announced in the kernel log, told apart from those that nobody meant.

A case writes ``hvqual: announce libvirtd-restart:<pid>/<start> <token>`` with the daemon that it is about to end, and afterwards
``hvqual: announce libvirtd-started:<pid>/<start> <token>`` with the one that answers. Each announcement covers one new daemon: the
lines must lead from the daemon seen before to the one seen after without a break.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from avocado_hvqual.health import kmsg, marker
from avocado_hvqual.health.identity import Identity

RESTART, STARTED = "libvirtd-restart:", "libvirtd-started:"
NONE = "none"


@dataclass(frozen=True)
class Account:
    """Whether every new daemon was announced, and whether a restart is announced whose new daemon was not seen yet."""

    explained: bool
    under_way: bool


def of_case(records: Sequence[kmsg.Record], case: str) -> list[str]:
    """Return what the last run of *case* announced, in order: the subjects of its markers that carry its own token."""
    marks = [mark for mark in map(marker.of, records) if mark is not None]
    token = next((mark.token for mark in reversed(marks) if (mark.what, mark.subject) == ("begin", case)), None)
    return [mark.subject for mark in marks if mark.what == "announce" and mark.token == token]


def account(before: Identity, after: Identity, announced: Sequence[str], *, under_way: bool = False) -> Account:
    """
    Follow the announcements from the daemon *before* to the one *after*.

    *under_way* says that a restart was announced earlier and its new daemon was not seen: a test that is killed in the middle
    leaves that to whoever puts the node back.
    """
    current, last = _name(before), _name(after)
    for subject in announced:
        if subject.startswith(RESTART):
            if subject[len(RESTART) :] != current or under_way:
                return Account(explained=False, under_way=False)
            under_way = True
        elif subject.startswith(STARTED):
            if not under_way:
                return Account(explained=False, under_way=False)
            current, under_way = subject[len(STARTED) :], False
    if current == last:
        return Account(explained=True, under_way=under_way)
    return Account(explained=under_way, under_way=under_way and last == NONE)


def _name(identity: Identity) -> str:
    if identity.daemon_pid is None:
        return NONE
    return f"{identity.daemon_pid}/{identity.daemon_start}"
