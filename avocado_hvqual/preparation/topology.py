# SPDX-License-Identifier: GPL-2.0-or-later
"""A topology of the operator's own: networks of five kinds, and which of them guests reach from each."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import quoteattr

from avocado_hvqual.preparation import traffic
from avocado_hvqual.preparation.checks.network_default import NAME as DEFAULT
from avocado_hvqual.preparation.model import Node

FORWARD = {"nat": "nat", "routed": "route", "isolated": "isolated", "bridge": "bridge", "vlan": "bridge"}
#: Kinds whose bridge is the host's own: libvirt neither makes it nor gives it an address.
OF_THE_HOST = frozenset({"bridge", "vlan"})


@dataclass(frozen=True)
class Wanted:
    """One network as the operator describes it; *address* is the host's own on it, 'ADDRESS/PREFIX', or empty."""

    name: str
    kind: str
    bridge: str
    address: str
    dhcp: bool
    guests: tuple[str, ...]
    gateway: str
    vlan: int
    reaches: tuple[str, ...]
    xml: str

    @property
    def router(self) -> str:
        """Who guests of this network are told to go by: the gateway that was named, else the host."""
        return self.gateway or self.address.partition("/")[0]

    @property
    def pair(self) -> tuple[str, str]:
        """The names of the two test guests in this network."""
        return f"{self.name}-1", f"{self.name}-2"


def wanted(node: Node) -> tuple[Wanted, ...]:
    """Return the networks that the description names besides the default one."""
    return tuple(_wanted(entry) for entry in node.expected["networks"] if entry["name"] != DEFAULT)


def _wanted(entry: Mapping[str, Any]) -> Wanted:
    return Wanted(
        name=entry["name"],
        kind=entry.get("kind", ""),
        bridge=entry.get("bridge", ""),
        address=entry.get("address", ""),
        dhcp=bool(entry.get("dhcp", False)),
        guests=tuple(entry.get("guests", ())),
        gateway=entry.get("gateway", ""),
        vlan=int(entry.get("vlan", 0)),
        reaches=tuple(entry.get("reaches", ())),
        xml=entry.get("xml", ""),
    )


def mistakes(networks: Sequence[Wanted]) -> list[str]:
    """Return, as sentences, what the description lacks to say what is meant."""
    names = {it.name for it in networks}
    found = []
    for it in networks:
        lacks = [key for key in ("kind", "bridge") if not getattr(it, key)]
        if it.kind not in OF_THE_HOST | {""} and not it.address:
            lacks.append("address")
        if it.kind == "vlan" and not it.vlan:
            lacks.append("vlan")
        if lacks:
            found.append(f"The description of the network '{it.name}' does not say its {', '.join(lacks)}.")
        strange = [name for name in it.reaches if name not in names]
        if strange:
            found.append(
                f"The network '{it.name}' is said to reach {', '.join(strange)}, which the description does not name."
            )
    return found


def definition(it: Wanted) -> str:
    """Return libvirt's XML of a network that is missing."""
    mode = FORWARD[it.kind]
    forward = "" if mode == "isolated" else f"<forward mode='{mode}'/>"
    if it.kind in OF_THE_HOST:
        return f"<network><name>{it.name}</name>{forward}<bridge name={quoteattr(it.bridge)}/></network>\n"
    host = ipaddress.ip_interface(it.address)
    dhcp = ""
    if it.dhcp:
        addresses = [address for address in host.network.hosts() if address != host.ip]
        dhcp = f"<dhcp><range start='{addresses[0]}' end='{addresses[-1]}'/></dhcp>"
    ip = f"<ip address='{host.ip}' prefix='{host.network.prefixlen}'>{dhcp}</ip>"
    bridge = f"<bridge name={quoteattr(it.bridge)} stp='on' delay='0'/>"
    return f"<network><name>{it.name}</name>{forward}{bridge}{ip}</network>\n"


def guests(networks: Sequence[Wanted]) -> list[dict[str, str]]:
    """Return two test guests a network: only so can be seen whether guests of one network reach each other."""
    return [
        traffic.guest(name, "network", it.name, "" if it.dhcp else it.guests[number], it.router)
        for it in networks
        for number, name in enumerate(it.pair)
    ]


def probes(networks: Sequence[Wanted]) -> list[dict[str, str]]:
    """Return every ordered pair of networks, itself included, as a question, and each network's router as a sign of life."""
    asked = [traffic.probe(it.pair[0], it.router) for it in networks if it.router]
    for one in networks:
        for other in networks:
            via = one.router if one is not other else ""
            asked.append(traffic.probe(one.pair[0], other.pair[1], via))
    return asked
