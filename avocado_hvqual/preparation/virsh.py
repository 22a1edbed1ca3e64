# SPDX-License-Identifier: GPL-2.0-or-later
"""What libvirt's own shell says of a node: its networks, read without changing any."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional
from xml.etree import ElementTree as ET

from avocado_hvqual.preparation.model import Node, Ran


def uri(node: Node) -> str:
    """Return where the node's libvirt is reached."""
    return str(node.expected["libvirt"]["uri"])


def virsh(node: Node, *words: str, timeout: float = 10.0) -> Ran:
    """Run virsh, which says nothing but what it was asked."""
    return node.run(["virsh", "-q", "-c", uri(node), *words], timeout=timeout)


def command(node: Node, *words: str) -> tuple[str, ...]:
    """Return the words with which a remedy asks virsh."""
    return ("virsh", "-c", uri(node), *words)


@dataclass(frozen=True)
class Network:
    """One network as libvirt tells of it; *addresses* are 'ADDRESS/PREFIX' of the host on its bridge, *vlans* its tags."""

    name: str
    active: bool
    autostart: bool
    persistent: bool
    forward: str
    bridge: str
    addresses: tuple[str, ...]
    dhcp: bool
    vlans: tuple[str, ...]


def network_names(node: Node) -> Optional[tuple[str, ...]]:
    """Return the names of all networks, active or not; None when libvirt does not answer."""
    run = virsh(node, "net-list", "--all", "--name")
    return tuple(line.strip() for line in run.stdout.splitlines() if line.strip()) if run.ok else None


def network(node: Node, name: str) -> Optional[Network]:
    """Return what libvirt tells of one network; None when it does not answer, or answers with something else."""
    info, dump = virsh(node, "net-info", name), virsh(node, "net-dumpxml", name)
    if not (info.ok and dump.ok):
        return None
    told = dict(line.split(":", 1) for line in info.stdout.splitlines() if ":" in line)
    said = {key.strip(): value.strip() for key, value in told.items()}
    try:
        root = ET.fromstring(dump.stdout)  # noqa: S314 - from the node's own libvirtd
    except ET.ParseError:
        return None
    forward, bridge = root.find("forward"), root.find("bridge")
    return Network(
        name=name,
        active=said.get("Active") == "yes",
        autostart=said.get("Autostart") == "yes",
        persistent=said.get("Persistent") == "yes",
        forward="isolated" if forward is None else forward.get("mode", "nat"),
        bridge="" if bridge is None else bridge.get("name", ""),
        addresses=tuple(_address(ip) for ip in root.findall("ip")),
        dhcp=any(ip.find("dhcp") is not None for ip in root.findall("ip")),
        vlans=tuple(tag.get("id", "") for tag in root.findall("vlan/tag")),
    )


def _address(ip: ET.Element) -> str:
    """Return 'ADDRESS/PREFIX' of an <ip> element, which may say a netmask instead."""
    prefix = ip.get("prefix")
    if prefix is None:
        mask = ip.get("netmask", "255.255.255.0" if ip.get("family", "ipv4") == "ipv4" else "")
        prefix = str(sum(bin(int(part)).count("1") for part in mask.split("."))) if mask else "64"
    return f"{ip.get('address', '')}/{prefix}"
