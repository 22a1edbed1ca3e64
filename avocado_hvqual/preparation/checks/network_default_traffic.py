# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest of the default network gets a lease that libvirt knows, its gateway, a name, and the way out by NAT."""

from __future__ import annotations

from typing import Any

from avocado_hvqual.preparation import traffic
from avocado_hvqual.preparation.checks.network_default import CAPABILITY, NAME
from avocado_hvqual.preparation.model import Check, Defect, Fact, Looked, Node, looked, not_applicable
from avocado_hvqual.preparation.virsh import network

_GUEST = "out"


def look(node: Node) -> Looked:
    """Say what a guest saw that was started in the network."""
    if not any(entry["name"] == NAME for entry in node.expected["networks"]):
        return not_applicable(f"The description of this node names no network '{NAME}'.")
    seen = network(node, NAME)
    if seen is None:
        return looked(
            unseen=[f"virsh net-info and net-dumpxml of '{NAME}' did not answer, so no guest was started in it."]
        )
    if not seen.active or not seen.addresses:
        return looked(unseen=[f"The network '{NAME}' is not active, so no guest was started in it."])
    gateway = next((address.partition("/")[0] for address in seen.addresses if ":" not in address), "")
    probes = [traffic.probe(_GUEST, gateway), traffic.probe(_GUEST, "outside")]
    told = traffic.ask(node, [traffic.guest(_GUEST, "network", NAME, gateway="")], probes, outside=True)
    if "error" in told:
        return _no_guest(told["error"])
    return _judged(told, gateway)


def _no_guest(error: str) -> Looked:
    """Return what follows from a guest that could not be asked; one that came up and got no address is the network's defect."""
    if error.startswith("Waited") and "an address for" in error:
        defect = Defect(f"network {NAME}: lease", error, "a guest gets an address", capability=CAPABILITY)
        return looked((), [defect])
    return looked(unseen=[error])


def _judged(told: dict[str, Any], gateway: str) -> Looked:
    """Return what the guest's answers mean."""
    guest = told["guests"][_GUEST]
    reached = {probe["to"]: probe for probe in told["probes"]}
    source = "asked of a guest through its agent"
    facts = [
        Fact("address of the guest", guest["address"], source),
        Fact("lease of libvirt", guest["lease"], "virNetworkGetDHCPLeases"),
        Fact("name of the guest resolves to", guest["name_resolved"], source),
        Fact("gateway", reached[gateway]["said"], source),
        Fact("outside by NAT", reached["outside"]["said"], source),
    ]
    defects = []
    if guest["lease"] != guest["address"]:
        defects.append(Defect(f"network {NAME}: lease", guest["lease"] or "none", guest["address"]))
    if not reached[gateway]["reached"]:
        defects.append(Defect(f"network {NAME}: gateway", reached[gateway]["said"], f"{gateway} answers the guest"))
    if guest["address"] not in guest["name_resolved"].split():
        found = guest["name_resolved"] or "no answer"
        defects.append(Defect(f"network {NAME}: DNS", found, f"the guest's name resolves to {guest['address']}"))
    if not reached["outside"]["reached"]:
        expected = "a host outside that knows no way back to guests answers: by NAT"
        defects.append(Defect(f"network {NAME}: way out", reached["outside"]["said"], expected))
    return looked(facts, [Defect(it.subject, it.found, it.expected, None, CAPABILITY) for it in defects])


CHECK = Check(
    name="network.default.traffic",
    use_case="hvqual.prep.network.default",
    why="Rules and processes that are there are not yet packets that arrive.",
    look=look,
    touches=(
        "A guest 'hvq-prep-out-...' is started in the network 'default' and ended; its lease is given back.",
        "A network namespace with a wire 'hvqprep0' (192.0.2.0/30) stands for the world outside, and is removed.",
    ),
)
