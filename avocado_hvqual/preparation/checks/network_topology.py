# SPDX-License-Identifier: GPL-2.0-or-later
"""The operator's own networks: each defined, autostarted and active as described, on a bridge that is what it should be."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Optional

from avocado_hvqual.preparation import networks, on_the_host, topology, virsh
from avocado_hvqual.preparation.checks.network_default import CAPABILITY, NAME
from avocado_hvqual.preparation.model import Check, Defect, Fact, Looked, NewFile, Node, Remedy, looked, not_applicable
from avocado_hvqual.preparation.topology import Wanted

_OF_GUESTS = ("vnet", "tap", "macvtap")


def look(node: Node) -> Looked:
    """Say whether each described network is there and is what the description says."""
    wanted = topology.wanted(node)
    if not wanted:
        return not_applicable("The description of this node names no network of its own.")
    unseen = topology.mistakes(wanted)
    names = virsh.network_names(node)
    if names is None or unseen:
        silent = [] if names is not None else [f"libvirt does not answer at {virsh.uri(node)}."]
        return looked(unseen=unseen + silent)
    facts = [Fact("networks", ", ".join(names) or "none", "virsh net-list --all")]
    defects: list[Defect] = []
    for it in wanted:
        if it.name in names:
            defects += _one(node, it, facts, unseen)
        else:
            defects.append(Defect(f"network {it.name}", "not defined", "defined and active", _define(node, it)))
    return looked(facts, [replace(defect, capability=CAPABILITY) for defect in defects], unseen)


def _define(node: Node, it: Wanted) -> Remedy:
    """Return how a missing network is made: from the operator's file, else as described."""
    if it.xml:
        return networks.define(node, it.name, it.xml)
    path = f"/var/tmp/hvq-network-{it.name}.xml"  # noqa: S108 - a remedy's file, recorded before it is written
    return networks.define(node, it.name, path, (NewFile(path, topology.definition(it)),))


def _one(node: Node, it: Wanted, facts: list[Fact], unseen: list[str]) -> list[Defect]:
    """Return what is wrong with a network that is defined."""
    seen = virsh.network(node, it.name)
    if seen is None:
        unseen.append(f"virsh net-info and net-dumpxml of '{it.name}' did not answer.")
        return []
    facts.append(Fact(f"network {it.name}", f"{seen.forward} on {seen.bridge}", "virsh net-dumpxml"))
    defects = list(networks.definition(node, seen, topology.FORWARD[it.kind], dhcp=it.dhcp))
    if seen.bridge != it.bridge:
        defects.append(Defect(f"network {it.name}: bridge", seen.bridge or "none", it.bridge))
    elif it.address and it.kind not in topology.OF_THE_HOST and it.address not in seen.addresses:
        has = ", ".join(seen.addresses) or "none"
        defects.append(Defect(f"network {it.name}: address", has, it.address))
    if it.kind in topology.OF_THE_HOST:
        return defects + list(_bridge(node, it, facts))
    if seen.active and seen.forward == topology.FORWARD[it.kind]:
        below, blind = networks.below(node, seen, facts)
        # The kernel's switch is one for all networks: the check of the default network tells of it where there is one.
        defects += [defect for defect in below if defect.subject != networks.SWITCH or not _default(node)]
        unseen += blind
    return defects


def _default(node: Node) -> bool:
    return any(entry["name"] == NAME for entry in node.expected["networks"])


def _bridge(node: Node, it: Wanted, facts: list[Fact]) -> Iterator[Defect]:
    """Yield what is wrong with a bridge of the host's own. Nothing here is mended: the host's way in may hang on it."""
    bridge = on_the_host.bridge(node, it.bridge)
    if bridge is None:
        yield Defect(f"bridge {it.bridge}", "no such bridge", "a bridge of the host that is up")
        return
    outward = [port for port in bridge.ports if not port.startswith(_OF_GUESTS)]
    facts.append(
        Fact(f"bridge {it.bridge}: ports", ", ".join(bridge.ports) or "none", f"/sys/class/net/{it.bridge}/brif")
    )
    if not bridge.up:
        yield Defect(f"bridge {it.bridge}", "down", "up")
    if not outward:
        yield Defect(f"bridge {it.bridge}: way out", "no port leads out of the host", "a port that does")
    if it.address and it.address not in bridge.addresses:
        yield Defect(f"bridge {it.bridge}: address", ", ".join(bridge.addresses) or "none", it.address)
    if it.kind == "vlan":
        tags = [vlan_tag(node, port) for port in outward]
        if it.vlan not in tags:
            has = ", ".join(f"VLAN {tag}" for tag in tags if tag) or "no port with a tag"
            yield Defect(f"bridge {it.bridge}: VLAN", has, f"a port of VLAN {it.vlan}")


def vlan_tag(node: Node, device: str) -> Optional[int]:
    """Return the tag of a VLAN device; None when it is none."""
    told = re.search(r"VID: (\d+)", node.read(f"/proc/net/vlan/{device}") or "")
    if told:
        return int(told.group(1))
    try:
        (link,) = json.loads(node.run(["ip", "-d", "-json", "link", "show", "dev", device]).stdout)
        info = link["linkinfo"]
        return int(info["info_data"]["id"]) if info["info_kind"] == "vlan" else None
    except (ValueError, KeyError, TypeError):
        return None


CHECK = Check(
    name="network.custom_topology",
    use_case="hvqual.prep.network.custom_topology",
    why="Customers' networks are separated by it: a network that is missing or of another kind stops guests, or joins them.",
    look=look,
)
