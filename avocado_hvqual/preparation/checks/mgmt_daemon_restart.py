# SPDX-License-Identifier: GPL-2.0-or-later
"""Each daemon of a node survives its restart: another process, in its place, that tells the same; and no guest was touched."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from avocado_hvqual import wait
from avocado_hvqual.preparation import daemons
from avocado_hvqual.preparation.checks.mgmt_daemon import CAPABILITY, look_at
from avocado_hvqual.preparation.daemons import Entry
from avocado_hvqual.preparation.model import Check, Defect, Fact, Looked, Node, looked, not_applicable
from avocado_hvqual.preparation.virsh import virsh

_TIMEOUT_S = 30.0


def look(node: Node) -> Looked:
    """Say how each described daemon came out of its restart; one that was not well before is not restarted."""
    if not node.expected["daemons"]:
        return not_applicable("The description of this node names no daemon.")
    facts: list[Fact] = []
    defects: list[Defect] = []
    unseen: list[str] = []
    for entry in node.expected["daemons"]:
        before: list[str] = []
        wrong = [defect.subject for defect in look_at(node, entry, [], before)]
        if wrong or before:
            unseen.append(
                f"The daemon {entry['name']} was not restarted: it is not well ({', '.join(wrong + before)})."
            )
            continue
        defects += [replace(it, capability=CAPABILITY) for it in _restarted(node, entry, facts)]
    return looked(facts, defects, unseen)


def _restarted(node: Node, entry: Entry, facts: list[Fact]) -> Iterator[Defect]:
    """Restart a daemon that is well, and yield what is wrong afterwards."""
    name = f"daemon {entry['name']}"
    guests = virsh(node, "list", "--uuid").stdout.split()
    before = daemons.seen(node, entry)
    run = daemons.restart(node, entry)
    if not run.ok or before is None:
        yield Defect(f"{name}: restart", run.why, "a restart that ends with status 0")
        return
    try:
        wait.until(lambda: not _trouble(node, entry), _TIMEOUT_S, f"the {name} to be well again", interval=0.2)
    except wait.WaitTimeoutError:
        yield Defect(f"{name}: after its restart", "; ".join(_trouble(node, entry)), "well as before")
        return
    after = daemons.seen(node, entry)
    facts.append(Fact(f"{name}: process", f"{before.pid} -> {after.pid if after else 0}", before.how))
    if after is None or after.pid == before.pid:
        yield Defect(f"{name}: restart", f"still process {before.pid}", "another process")
    left = virsh(node, "list", "--uuid").stdout.split()
    if sorted(left) != sorted(guests):
        yield Defect(f"{name}: guests", f"{len(left)} run after its restart", f"the {len(guests)} that ran before")


def _trouble(node: Node, entry: Entry) -> list[str]:
    """Return what is wrong with a daemon, or cannot be seen, now."""
    unseen: list[str] = []
    return [f"{it.subject}: {it.found}" for it in look_at(node, entry, [], unseen)] + unseen


CHECK = Check(
    name="mgmt_daemon.restart",
    use_case="hvqual.prep.mgmt_daemon",
    why="Packages are upgraded while guests run: a daemon that does not come back is missed only when it is needed.",
    look=look,
    touches=("Each described daemon is restarted once; guests go on.",),
)
