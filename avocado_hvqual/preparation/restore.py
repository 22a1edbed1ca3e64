# SPDX-License-Identifier: GPL-2.0-or-later
"""Take back what `node prepare` did, newest first, and say in what the node still differs from what it was before."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

from avocado_hvqual.preparation import files
from avocado_hvqual.preparation.journal import Entry, Journal
from avocado_hvqual.preparation.model import Check, Node, Ran
from avocado_hvqual.preparation.registry import CHECKS

UNDO_S = 600.0
AT_BOOT = re.compile(
    r"sysctl: (?:net/\w+/(?:tcp|udp|sctp)_mem|vm/(?:user_reserve|admin_reserve|min_free)_kbytes|kernel/threads-max|fs/file-max"
    r"|fs/(?:epoll|inotify)/max_user_watches|user/max_\w+) (?P<was>[\d ]+) -> (?P<now>[\d ]+)"
)
"""Settings that the kernel computes at boot from the memory that is free just then: not the same twice (tcp_mem, Linux 6.1)."""
A_LITTLE = 0.01
Say = Callable[[str], None]
MakeNode = Callable[[Mapping[str, Any]], Node]


@dataclass
class Restored:
    """What was taken back, what could not be (with the reason), and what nothing takes back."""

    did: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    stays: list[str] = field(default_factory=list)


def of_the_boot(change: str) -> bool:
    """Whether a line of a node's differences tells of nothing but the kernel's own arithmetic at another boot: a hundredth at most."""
    told = AT_BOOT.fullmatch(change)
    if told is None:
        return False
    pairs = list(zip_longest(map(int, told["was"].split()), map(int, told["now"].split()), fillvalue=0))
    return all(abs(was - now) <= A_LITTLE * max(was, now) for was, now in pairs)


def restore(journal: Journal, make_node: MakeNode, say: Say, checks: Sequence[Check] = CHECKS) -> Restored:
    """
    Take everything back that the journal holds; an entry that fails stays in it, and the others are taken back all the same.

    *make_node* makes the door to this node with the description that the entry was made under: the check then has to name its defect
    again, which proves more than the exit status of the commands that took it back.
    """
    done = Restored()
    known = {check.name: check for check in checks}
    for entry in reversed(journal.entries()):
        if entry.irreversible:
            done.stays.append(f"{entry.subject}: {entry.irreversible}")
        wrong = _take_back(entry, make_node(entry.expected), known.get(entry.check), say)
        if wrong:
            done.left += [f"{entry.subject}: {sentence}" for sentence in wrong]
        else:
            journal.forget(entry)
            if entry.undo or entry.files:
                done.did.append(f"{entry.subject}: {entry.summary}")
    return done


def _take_back(entry: Entry, node: Node, check: Check | None, say: Say) -> list[str]:
    """Return what of one entry could not be taken back; a command may fail when what it should undo is not there any more."""
    wrong = files.put_back(entry.files)
    failed = _run(entry, node, say)
    if failed and not _there(entry, node, check):
        wrong += failed
    return wrong


def _run(entry: Entry, node: Node, say: Say) -> list[str]:
    failed = []
    for words in entry.undo:
        say(f"  $ {shlex.join(words)}")
        ran: Ran = node.run(words, timeout=UNDO_S)
        if not ran.ok:
            failed.append(f"'{shlex.join(words)}' failed: {ran.why}")
    return failed


def _there(entry: Entry, node: Node, check: Check | None) -> bool:
    """Whether the check names the defect again: then the node is what it was, whoever made it so."""
    return check is not None and any(defect.subject == entry.subject for defect in check.look(node).defects)
