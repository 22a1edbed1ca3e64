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
    """Restart a daemon that is well, kill it where systemd has to start it again, and yield what is wrong afterwards."""
    name = f"daemon {entry['name']}"
    guests = sorted(virsh(node, "list", "--uuid").stdout.split())
    found = list(_renewed(node, entry, facts, "restart"))
    if not found and daemons.systemd(node):
        found = list(_renewed(node, entry, facts, "kill"))
    yield from found
    left = sorted(virsh(node, "list", "--uuid").stdout.split()) if not found else guests
    if left != guests:
        yield Defect(f"{name}: guests", f"{len(left)} run after its restart", f"the {len(guests)} that ran before")


def _renewed(node: Node, entry: Entry, facts: list[Fact], verb: str) -> Iterator[Defect]:
    """End a daemon by *verb*, and yield what is wrong unless it is well again as another process."""
    name = f"daemon {entry['name']}"
    before = daemons.seen(node, entry)
    run = {"restart": daemons.restart, "kill": daemons.kill}[verb](node, entry)
    if not run.ok or before is None:
        yield Defect(f"{name}: {verb}", run.why, "a command that ends with status 0")
        return
    try:
        wait.until(lambda: _another(node, entry, before.pid), _TIMEOUT_S, f"the {name} to be well again", interval=0.2)
    except wait.WaitTimeoutError:
        trouble = "; ".join(_trouble(node, entry)) or f"still process {before.pid}"
        yield Defect(f"{name}: after a {verb}", trouble, "another process, well as before")
        return
    after = daemons.seen(node, entry)
    facts.append(Fact(f"{name}: process after a {verb}", f"{before.pid} -> {after.pid if after else 0}", before.how))


def _another(node: Node, entry: Entry, old: int) -> bool:
    """Whether a daemon is well, as another process than the *old* one."""
    now = daemons.seen(node, entry)
    return now is not None and now.pid not in {0, old} and not _trouble(node, entry)


def _trouble(node: Node, entry: Entry) -> list[str]:
    """Return what is wrong with a daemon, or cannot be seen, now."""
    unseen: list[str] = []
    return [f"{it.subject}: {it.found}" for it in look_at(node, entry, [], unseen)] + unseen


CHECK = Check(
    name="mgmt_daemon.restart",
    use_case="hvqual.prep.mgmt_daemon",
    why="Packages are upgraded while guests run: a daemon that does not come back is missed only when it is needed.",
    look=look,
    touches=("Each described daemon is restarted, and killed once where systemd starts it again; guests go on.",),
)
