# SPDX-License-Identifier: GPL-2.0-or-later
"""The node around a campaign: put back what dead tests left, refuse a tainted one, and prove that it is as it was."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

from avocado_hvqual import node
from avocado_hvqual.campaign.folder import home, host_id
from avocado_hvqual.campaign.journal import Journal
from avocado_hvqual.errors import HvqualError
from avocado_hvqual.health import identity

CLEAN = "avocado hvqual clean"
BEFORE = "node-before.json"
"""The node's state before the campaign, while it runs."""


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
    around = Around(before=_before(journal.folder))
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
        (journal.folder / BEFORE).unlink(missing_ok=True)


def _before(folder: Path) -> node.State:
    """
    Return the state that the node has to have in the end: that of now, or the one which a campaign that broke had found.

    It is on disk from the beginning, so that a kill does not make what the campaign left look as if it had always been there. A boot
    changes a node in ways that are nobody's fault, so after one the comparison begins anew.
    """
    place, boot = folder / BEFORE, identity.boot()
    try:
        kept = json.loads(place.read_text(encoding="utf-8"))
        if kept["boot_id"] == boot:
            return node.State(str(kept["whole"]["digest"]), kept["whole"])
    except (OSError, ValueError, KeyError, TypeError):
        place.unlink(missing_ok=True)
    state = node.capture()
    with place.open("w", encoding="utf-8") as stream:
        json.dump({"boot_id": boot, "whole": {**state.whole, "digest": state.digest}}, stream)
        stream.flush()
        os.fsync(stream.fileno())
    return state
