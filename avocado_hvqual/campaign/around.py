# SPDX-License-Identifier: GPL-2.0-or-later
"""The node around a campaign: put back what dead tests left, refuse a tainted one, and prove that it is as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Optional

from avocado_hvqual import node
from avocado_hvqual.campaign.folder import home, host_id
from avocado_hvqual.campaign.journal import Journal
from avocado_hvqual.errors import HvqualError

CLEAN = "avocado hvqual clean"


def demand_untainted() -> None:
    """Return when the node may be worked on; NodeError names what taints it and the command that mends it."""
    why = node.tainted(home(), host_id())
    if why is not None:
        message = f"This node is tainted: {why}. Nothing runs on it before:  {CLEAN}"
        raise node.NodeError(message)


@dataclass
class Around:
    """The node's state around a campaign."""

    before: Optional[node.State] = None
    after: Optional[node.State] = None
    changes: list[str] = field(default_factory=list)


def put_back() -> list[str]:
    """Replay the undo log; return what could not be put back."""
    answer = node.replay(home(), host_id())
    left = [f"not put back: {one['action']} {one['details']}" for one in answer["left"]]
    return left + [f"tainted: {why}" for why in answer["tainted"]]


def _compare(around: Around) -> None:
    left = put_back()
    around.after = node.capture()
    if around.before is not None:
        around.changes = node.diff(around.before, around.after)
    around.changes += left


@contextmanager
def unchanged(journal: Journal) -> Iterator[Around]:
    """
    Compare the node before and after the block, and write what differs into the journal.

    What dead tests left is put back first, before the block and after it: the difference is what even that did not mend. A state
    that cannot be asked counts as different, for nobody knows that it is the same.
    """
    put_back()
    around = Around(before=node.capture())
    try:
        yield around
    finally:
        try:
            _compare(around)
        except (HvqualError, OSError) as error:
            around.changes.append(f"The node's state after the campaign is not known: {error}")
        line = {
            "case": None,
            "before": around.before.digest if around.before else None,
            "after": around.after.digest if around.after else None,
            "differences": around.changes,
        }
        journal.append("node-state", line)
