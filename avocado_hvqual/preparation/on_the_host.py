# SPDX-License-Identifier: GPL-2.0-or-later
"""What stands below a libvirt network on its host: the bridge, the DHCP server, the packet filter, forwarding."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Optional

from avocado_hvqual.preparation.model import Node

_JUMP = re.compile(r"^-A (\S+) .*?(?:-j|-g) (\S+)")
_BASE = {"nat": "POSTROUTING", "filter": "FORWARD"}


@dataclass(frozen=True)
class Bridge:
    """A bridge of the host: whether it is up, its addresses 'ADDRESS/PREFIX', and what is plugged into it."""

    up: bool
    addresses: tuple[str, ...]
    ports: tuple[str, ...]


def bridge(node: Node, name: str) -> Optional[Bridge]:
    """Return the bridge *name*; None when there is no such device, or it is none."""
    ports = node.names(f"/sys/class/net/{name}/brif")
    run = node.run(["ip", "-json", "addr", "show", "dev", name])
    if ports is None or not run.ok:
        return None
    try:
        (device,) = [entry for entry in json.loads(run.stdout) if entry]
        addresses = tuple(f"{entry['local']}/{entry['prefixlen']}" for entry in device["addr_info"])
        # A bridge without a guest has no carrier: what the administrator asked for is the flag UP.
        return Bridge("UP" in device["flags"], addresses, ports)
    except (ValueError, KeyError, TypeError):
        return None


def dnsmasq(node: Node, network: str) -> tuple[int, str]:
    """Return the living DHCP server of a libvirt network, else 0 and what was found instead."""
    path = f"/run/libvirt/network/{network}.pid"
    text = node.read(path)
    if text is None or not text.strip().isdigit():
        return 0, f"'{path}' is not there"
    pid = int(text)
    words = (node.read(f"/proc/{pid}/cmdline") or "").split("\0")
    if (node.read(f"/proc/{pid}/comm") or "").strip() != "dnsmasq":
        return 0, f"process {pid} of '{path}' does not live, or is no dnsmasq"
    # The number of a process that died is given to another one: also to another network's server.
    if not any(word.endswith(f"/{network}.conf") for word in words):
        return 0, f"process {pid} serves another network"
    return pid, ""


def rules(node: Node, table: str) -> Optional[list[str]]:
    """Return the rules of a table of the IPv4 packet filter as iptables writes them; None when it cannot be asked."""
    run = node.run(["iptables", "-w", "5", "-t", table, "-S"])
    return run.stdout.splitlines() if run.ok else None


def native_rules(node: Node) -> Optional[str]:
    """Return libvirt's own nft table (its nftables backend, libvirt 10.4 and later); None when there is none."""
    run = node.run(["nft", "list", "table", "ip", "libvirt_network"])
    return run.stdout if run.ok else None


def in_effect(lines: Iterable[str], table: str) -> list[str]:
    """Return the rules of the chains that packets really reach from the table's base chain: a rule nobody jumps to does nothing."""
    every = list(lines)
    reached, waiting = {_BASE[table]}, [_BASE[table]]
    while waiting:
        chain = waiting.pop()
        for line in every:
            jump = _JUMP.match(line)
            if jump and jump.group(1) == chain and jump.group(2) not in reached:
                reached.add(jump.group(2))
                waiting.append(jump.group(2))
    return [line for line in every if line.startswith("-A ") and line.split()[1] in reached]


def nat_missing(node: Node, subnet: str, device: str) -> tuple[Optional[list[str]], str]:
    """
    Return what the packet filter lacks to let guests of *subnet* out by NAT, and where that was read.

    None: the packet filter could not be asked, or not in a form that is understood.
    """
    native = native_rules(node)
    if native is not None and subnet in native:
        wanted = {"masquerade": f"ip saddr {subnet}", "accept": f'iif "{device}"'}
        lacking = [
            word for word, of in wanted.items() if not re.search(rf"^.*{re.escape(of)}.*{word}", native, re.MULTILINE)
        ]
        return [f"rule '{wanted[word]} ... {word}'" for word in lacking], "nft list table ip libvirt_network"
    nat, forward = rules(node, "nat"), rules(node, "filter")
    if nat is None or forward is None:
        return None, "iptables -S"
    missing = []
    # libvirt has rules for TCP and UDP besides; only the one of any protocol lets everything out.
    every = [line for line in in_effect(nat, "nat") if f"-s {subnet} " in line and " -p " not in line]
    if not any("-j MASQUERADE" in line for line in every):
        missing.append(f"masquerading of {subnet}")
    passed = in_effect(forward, "filter")
    if not any(f"-s {subnet} " in line and f"-i {device} " in line and "-j ACCEPT" in line for line in passed):
        missing.append(f"forwarding from {device}")
    if not any(f"-d {subnet} " in line and f"-o {device} " in line and "-j ACCEPT" in line for line in passed):
        missing.append(f"forwarding to {device}")
    return missing, "iptables -S"


def subnet_of(address: str) -> str:
    """Return the network that a host's address lies in: 192.168.122.1/24 -> 192.168.122.0/24."""
    return str(ipaddress.ip_interface(address).network)
