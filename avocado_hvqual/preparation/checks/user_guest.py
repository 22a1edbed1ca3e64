# SPDX-License-Identifier: GPL-2.0-or-later
"""The user who is not root starts and ends a guest: to be let in is not yet to be allowed to do something."""

from __future__ import annotations

from avocado_hvqual.preparation import accelerator
from avocado_hvqual.preparation.answers import error_of, of_program
from avocado_hvqual.preparation.checks.user_non_root import CAPABILITY
from avocado_hvqual.preparation.model import Check, Defect, Fact, Looked, Node, looked
from avocado_hvqual.preparation.virsh import uri

_TIMEOUT_S = 90.0


def look(node: Node) -> Looked:
    """Say whether the user could start a guest, saw it, and could end it."""
    user = node.expected["user"]["name"]
    if not node.run(["getent", "passwd", user]).ok:
        return looked(unseen=[f"There is no user '{user}' who could start a guest."])
    kind = accelerator.of(node)
    if kind not in {"kvm", "tcg"}:
        return looked(unseen=["No accelerator was found that runs a guest."])
    run = node.ask("guest_of_user", user, uri(node), kind, timeout=_TIMEOUT_S)
    told = of_program(run, "paused", "gone", "said", "status")
    if told is None:
        return looked(unseen=[f"The program that starts a guest as '{user}' told nothing: {error_of(run)}."])
    source = f"runuser -u {user} -- virsh create, domstate, destroy"
    facts = [Fact("guest started", told["paused"], source), Fact("guest ended", told["gone"], source)]
    if run.ok:
        return looked(facts)
    said = told["said"].strip().splitlines()[0] if told["said"].strip() else f"virsh ended with {told['status']}"
    return looked(
        facts, [Defect(f"user {user}: guest", said, "started, seen paused, and ended", capability=CAPABILITY)]
    )


CHECK = Check(
    name="user.non_root.guest",
    use_case="hvqual.prep.user.non_root",
    why="A user who may list guests and not start them is found out by the first tool that tries.",
    look=look,
    touches=("A guest 'hvq-prep-user-...' without disk and network is started paused by the user, and ended.",),
)
