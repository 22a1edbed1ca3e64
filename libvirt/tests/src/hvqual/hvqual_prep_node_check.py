# SPDX-License-Identifier: GPL-2.0-or-later
"""
The node is as it shall be before anything runs on it, in what one use case of its preparation asks.

Use cases ``hvqual.prep.*`` of the requirement's sections 3, 4.1 and 6.1 that `avocado hvqual node check` answers.
"""

from dataclasses import dataclass

from provider.hvqual import daemon, node_check, undo_daemon
from provider.hvqual.case import case


@dataclass(frozen=True)
class NodeCheck:
    """Which checks make up the use case, what the node is held against, and how long they may take (s)."""

    checks: tuple[str, ...]
    node_expect: str
    check_timeout: float


def run(test, params, env):
    """
    1. Ask every check of the use case, also what touches the node for a moment, against the operator's description of the node.
    2. Each saw something, found no defect, and left the node as it was.
    """
    with case(test, params, env, NodeCheck) as it:
        before = undo_daemon.running()
        with it.record.step("node check"):
            found = node_check.ask(it.own.checks, it.own.node_expect, it.own.check_timeout)
        daemon.account_for(it, before, node_check.renewed(found))
        node_check.observe(found, it.record)
