# SPDX-License-Identifier: GPL-2.0-or-later
"""Who reaches whom over the operator's own networks: every pair, those that must and those that must not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from avocado_hvqual.preparation import topology, traffic
from avocado_hvqual.preparation.checks.network_default import CAPABILITY
from avocado_hvqual.preparation.model import Check, Defect, Fact, Looked, Node, looked, not_applicable
from avocado_hvqual.preparation.topology import Wanted

_SOURCE = "ping, asked of guests through their agents"


def look(node: Node) -> Looked:
    """Say whether two guests in each network reach exactly what the description says."""
    wanted = topology.wanted(node)
    if not wanted:
        return not_applicable("The description of this node names no network of its own.")
    unseen = topology.mistakes(wanted)
    unseen += [
        f"The description of '{it.name}' gives its guests no addresses (guests, or dhcp)."
        for it in wanted
        if not it.dhcp and not it.guests
    ]
    if unseen:
        return looked(unseen=unseen)
    told = traffic.ask(node, topology.guests(wanted), topology.probes(wanted))
    return looked(unseen=[told["error"]]) if "error" in told else judged(wanted, told["probes"])


def judged(wanted: Sequence[Wanted], probes: Sequence[dict[str, Any]]) -> Looked:
    """
    Return what the pings mean.

    A guest that reached nothing at all shows nothing by reaching nobody: what it must not reach is then unknown, not denied.
    """
    answers = {(probe["from"], probe["to"]): probe for probe in probes}
    facts: list[Fact] = []
    defects: list[Defect] = []
    unseen: list[str] = []
    for one in wanted:
        alive = any(probe["reached"] for probe in probes if probe["from"] == one.pair[0])
        for other in wanted:
            probe = answers[one.pair[0], other.pair[1]]
            facts.append(Fact(f"{one.name} reaches {other.name}", bool(probe["reached"]), _SOURCE))
            must = other.name in one.reaches
            if probe["reached"] != must:
                defects.append(_defect(one, other, probe, must=must))
            elif not must and not alive:
                unseen.append(
                    f"A guest in '{one.name}' reached nothing, so whether '{other.name}' is denied to it is not known."
                )
    return looked(facts, defects, unseen)


def _defect(one: Wanted, other: Wanted, probe: dict[str, Any], *, must: bool) -> Defect:
    """Return one pair that is not as described."""
    found = f"{'reached' if probe['reached'] else 'not reached'}: {probe['said']}"
    return Defect(f"traffic {one.name} to {other.name}", found, "allowed" if must else "denied", None, CAPABILITY)


CHECK = Check(
    name="network.custom_topology.traffic",
    use_case="hvqual.prep.network.custom_topology",
    why="Only packets tell whether customers are apart: a rule that is there may be behind one that lets everything through.",
    look=look,
    touches=(
        "Two guests 'hvq-prep-...' are started in each described network and ended; their leases are given back.",
    ),
)
