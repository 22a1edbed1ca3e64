# SPDX-License-Identifier: GPL-2.0-or-later
"""The network between the hosts: each is joined to the fabric's bridge. No device ever stands in the machine's own namespace."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from avocado_hvqual.errors import LabError
from avocado_hvqual.lab.paths import FABRIC, FABRIC_ADDRESSES, FABRIC_LEASES, FABRIC_PREFIX
from avocado_hvqual.lab.settings import FABRIC_BRIDGE, FABRIC_DEVICE
from avocado_hvqual.lab.state import Node
from avocado_hvqual.lab.tools import find

_BRIDGE, _WIRE = "77", "76"


def in_network_of(node: Node, arguments: list[str]) -> str:
    """Run a command in the network of *node* and return what it wrote; raise `LabError` if it fails."""
    line = ["nsenter", "--target", str(node.init.pid), "--net", "--", *arguments]
    run = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        msg = f"'{' '.join(arguments)}' failed in the lab with status {run.returncode}: {run.stderr.strip()}"
        raise LabError(msg)
    return run.stdout


def ip(node: Node, *arguments: str) -> str:
    """Return what the command ip writes in the network of *node*."""
    return in_network_of(node, [find("ip") or "ip", *arguments])


def links(node: Node) -> dict[str, dict[str, Any]]:
    """Return the network devices of *node* by name."""
    return {link["ifname"]: link for link in json.loads(ip(node, "-json", "link", "show") or "[]")}


def hardware(kind: str, address: str) -> str:
    """Return a hardware address that outlives a power failure, as a network card's does: neighbours remember it."""
    return ":".join(["52:54", kind, *(f"{int(part):02x}" for part in address.split(".")[1:])])


def bridge(node: Node, name: str, address: str) -> None:
    """Make the bridge *name* with *address* in the network of *node*, unless it is there."""
    ip(node, "link", "set", "lo", "up")
    if name not in links(node):
        bridge = ["type", "bridge", "forward_delay", "0", "stp_state", "0"]
        ip(node, "link", "add", name, "address", hardware(_BRIDGE, address), *bridge)
    # Asked apart: whoever made the bridge may have been killed before it had its address.
    ip(node, "addr", "replace", f"{address}/{FABRIC_PREFIX}", "dev", name)
    ip(node, "link", "set", name, "up")


def joined(fabric: Node, host: str, node: Node) -> bool:
    """Whether both ends of the wire of *host* are up and on their bridges."""
    outer, inner = links(fabric).get(host, {}), links(node).get(FABRIC_DEVICE, {})
    return outer.get("master") == FABRIC and inner.get("master") == FABRIC_BRIDGE and "LOWER_UP" in inner["flags"]


def join(fabric: Node, host: str, node: Node) -> None:
    """Connect *host* to the fabric; a wire that is whole is left alone, half a one is replaced."""
    bridge(node, FABRIC_BRIDGE, FABRIC_ADDRESSES[host])
    if joined(fabric, host, node):
        return
    for side, device in ((fabric, host), (node, FABRIC_DEVICE)):
        if device in links(side):
            ip(side, "link", "delete", device)
    peer = ["peer", "name", FABRIC_DEVICE, "address", hardware(_WIRE, FABRIC_ADDRESSES[host])]
    ip(fabric, "link", "add", host, "type", "veth", *peer, "netns", str(node.init.pid))
    ip(fabric, "link", "set", host, "master", FABRIC, "up")
    ip(node, "link", "set", FABRIC_DEVICE, "master", FABRIC_BRIDGE, "up")


def leases_command() -> list[str]:
    """Return the DHCP server of the fabric, for guests that stand on it."""
    first, last = FABRIC_LEASES
    server = [
        "dnsmasq",
        "--conf-file=/dev/null",
        f"--interface={FABRIC}",
        "--bind-interfaces",
        "--except-interface=lo",
        "--port=0",
    ]
    lease = [f"--dhcp-range={first},{last},12h", "--dhcp-authoritative", "--dhcp-no-override", "--no-ping"]
    return [
        *server,
        *lease,
        "--dhcp-leasefile=/run/fabric.leases",
        "--pid-file=/run/fabric-dnsmasq.pid",
        "--user=root",
        "--group=root",
    ]
