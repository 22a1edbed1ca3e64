# SPDX-License-Identifier: GPL-2.0-or-later
"""The default NAT network: defined, started with the host, active, and with everything below it that gives guests their way out."""

from __future__ import annotations

from dataclasses import replace

from avocado_hvqual.preparation import networks, virsh
from avocado_hvqual.preparation.model import Check, Defect, Fact, Looked, NewFile, Node, Remedy, looked, not_applicable

NAME = "default"
CAPABILITY = "network"
_WRITTEN = "/var/tmp/hvq-network-default.xml"  # noqa: S108 - a remedy's file, recorded before it is written
_XML = """<network>
  <name>default</name>
  <forward mode='nat'/>
  <bridge name='virbr0' stp='on' delay='0'/>
  <ip address='192.168.122.1' netmask='255.255.255.0'>
    <dhcp><range start='192.168.122.2' end='192.168.122.254'/></dhcp>
  </ip>
</network>
"""


def look(node: Node) -> Looked:
    """Say whether the network is there, comes up with the host, and what stands below it does."""
    wanted = next((entry for entry in node.expected["networks"] if entry["name"] == NAME), None)
    if wanted is None:
        return not_applicable(f"The description of this node names no network '{NAME}'.")
    names = virsh.network_names(node)
    if names is None:
        return looked(unseen=[f"libvirt does not answer at {virsh.uri(node)}, so nothing is known of its networks."])
    facts = [Fact("networks", ", ".join(names) or "none", "virsh net-list --all")]
    if NAME not in names:
        missing = Defect(
            f"network {NAME}",
            "not defined",
            "defined, autostarted and active",
            _define(node, wanted.get("xml", "")),
            CAPABILITY,
        )
        return looked(facts, [missing])
    seen = virsh.network(node, NAME)
    if seen is None:
        return looked(facts, unseen=[f"virsh net-info and net-dumpxml of '{NAME}' did not answer."])
    facts += [Fact("forward mode", seen.forward, "virsh net-dumpxml"), Fact("bridge", seen.bridge, "virsh net-dumpxml")]
    defects = list(networks.definition(node, seen, "nat", dhcp=True))
    unseen: list[str] = []
    if seen.active:
        below, unseen = networks.below(node, seen, facts)
        defects += below
    return looked(facts, [replace(defect, capability=CAPABILITY) for defect in defects], unseen)


def _define(node: Node, xml: str) -> Remedy:
    """Return how the network is made: from the operator's file, the distribution's, else from libvirt's own text written down."""
    path = xml or node.distribution.called("paths", "default network")
    if node.read(path) is not None:
        return networks.define(node, NAME, path)
    return networks.define(node, NAME, _WRITTEN, (NewFile(_WRITTEN, _XML),))


CHECK = Check(
    name="network.default",
    use_case="hvqual.prep.network.default",
    why="Guests that ask for nothing else get their address and their way out from it.",
    look=look,
)
