# SPDX-License-Identifier: GPL-2.0-or-later
"""What may be wrong with a network of libvirt and with what stands below it on the host, and what mends it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Optional

from avocado_hvqual.preparation import on_the_host
from avocado_hvqual.preparation.model import Defect, Fact, NewFile, Node, Remedy
from avocado_hvqual.preparation.virsh import Network, command

SWITCH = "net.ipv4.ip_forward"
_SWITCH_FILE = "/proc/sys/net/ipv4/ip_forward"


_DNSMASQ = "/var/lib/libvirt/dnsmasq"
_FILES = ("addnhosts", "conf", "hostsfile")
_STAYS = "libvirt's chains in the packet filter, and the modules behind them, stay until the next reboot"


def define(node: Node, name: str, path: str, files: tuple[NewFile, ...] = ()) -> Remedy:
    """Return how a network is made from the definition in *path*, which may be one of *files*."""
    commands = (
        command(node, "net-define", path),
        command(node, "net-autostart", name),
        command(node, "net-start", name),
    )
    undo = (command(node, "net-destroy", name), command(node, "net-undefine", name), *_rest(node, name))
    summary = f"Define the network '{name}', let it start with the host, and start it."
    return Remedy(summary, commands, undo, _stays(node), files)


def _rest(node: Node, name: str) -> tuple[tuple[str, ...], ...]:
    """Return what libvirt does not take back when a network goes: that the kernel forwards packets, and its files for dnsmasq."""
    off = (node.read(_SWITCH_FILE) or "").strip() == "0"
    held = node.names(_DNSMASQ) or ()
    new = [f"{_DNSMASQ}/{name}.{kind}" for kind in _FILES if f"{name}.{kind}" not in held]
    return ((("sysctl", "-w", f"{SWITCH}=0"),) if off else ()) + ((("rm", "-f", *new),) if new else ())


def _stays(node: Node) -> str:
    """Return what the first network since the boot brings for good; libvirt 9.0 keeps its chains when the last one goes."""
    return _STAYS if node.names("/sys/module/nf_conntrack") is None else ""


def definition(node: Node, seen: Network, forward: str, *, dhcp: bool) -> Iterator[Defect]:
    """Yield what libvirt itself says is wrong."""
    name = seen.name
    if not seen.persistent:
        yield Defect(f"network {name}: persistence", "transient: gone at the next start of libvirt", "persistent")
    elif not seen.autostart:
        yield Defect(f"network {name}: autostart", "no", "yes", autostart(node, name))
    elif node.read(f"/etc/libvirt/qemu/networks/autostart/{name}.xml") is None:
        # libvirt keeps the word in memory: without the link the network stays down after the next start of the host.
        yield Defect(f"network {name}: autostart link", "not on disk", "on disk", autostart_again(node, name))
    if not seen.active:
        undo = (command(node, "net-destroy", name), *_rest(node, name))
        remedy = Remedy(f"Start the network '{name}'.", (command(node, "net-start", name),), undo, _stays(node))
        yield Defect(f"network {name}: active", "no", "yes", remedy)
    if seen.forward != forward:
        yield Defect(f"network {name}: forward mode", seen.forward, forward)
    if dhcp and not seen.dhcp:
        yield Defect(f"network {name}: DHCP", "the definition has no range of addresses to give", "a range")


def autostart(node: Node, name: str) -> Remedy:
    """Return how the network comes to start with the host."""
    undo = (command(node, "net-autostart", "--disable", name),)
    return Remedy(f"Let the network '{name}' start with the host.", (command(node, "net-autostart", name),), undo)


def autostart_again(node: Node, name: str) -> Remedy:
    """Return how the link comes back: libvirt, which thinks that it is there, is told no first."""
    again = (command(node, "net-autostart", "--disable", name), command(node, "net-autostart", name))
    stays = f"the link that lets the network '{name}' start with the host stays"
    return Remedy(f"Let the network '{name}' start with the host, anew.", again, irreversible=stays)


def below(node: Node, seen: Network, facts: list[Fact]) -> tuple[list[Defect], list[str]]:
    """Return what is wrong below an active network, and what could not be seen; what was seen is added to *facts*."""
    defects: list[Defect] = []
    bridge = on_the_host.bridge(node, seen.bridge)
    anew = restart(node, seen.name, bridge)
    if bridge is None:
        defects.append(Defect(f"bridge {seen.bridge}", "no such bridge", "a bridge that is up", anew))
    else:
        facts.append(Fact("bridge ports", len(bridge.ports), f"/sys/class/net/{seen.bridge}/brif"))
        if not bridge.up:
            words = [("ip", "link", "set", seen.bridge, state) for state in ("up", "down")]
            up = Remedy(f"Set {seen.bridge} up.", (words[0],), (words[1],))
            defects.append(Defect(f"bridge {seen.bridge}", "down", "up", up))
        for address in seen.addresses:
            if address not in bridge.addresses:
                has = ", ".join(bridge.addresses) or "none"
                defects.append(Defect(f"bridge {seen.bridge}: address", has, address, anew))
    pid, why = on_the_host.dnsmasq(node, seen.name)
    facts.append(Fact("dnsmasq", pid, f"/run/libvirt/network/{seen.name}.pid"))
    if seen.dhcp and not pid:
        defects.append(Defect(f"dnsmasq of {seen.name}", why, "one that lives and serves this network", anew))
    return _filter(node, seen, anew, facts, defects)


def _filter(
    node: Node, seen: Network, anew: Optional[Remedy], facts: list[Fact], defects: list[Defect]
) -> tuple[list[Defect], list[str]]:
    """Add what the packet filter and the kernel's switch lack to *defects*."""
    unseen = []
    ipv4 = [address for address in seen.addresses if ":" not in address]
    for address in ipv4 if seen.forward == "nat" else []:
        missing, source = on_the_host.nat_missing(node, on_the_host.subnet_of(address), seen.bridge)
        if missing is None:
            unseen.append("The packet filter could not be asked (nft, iptables): run as root.")
            continue
        facts.append(Fact(f"NAT of {on_the_host.subnet_of(address)}", "missing" if missing else "in effect", source))
        if missing:
            expected = "masquerading and forwarding, reached from the base chains"
            defects.append(Defect(f"NAT rules of {seen.name}", "not in effect: " + ", ".join(missing), expected, anew))
    if seen.forward not in {"nat", "route"}:
        return defects, unseen
    switch = (node.read(_SWITCH_FILE) or "").strip()
    facts.append(Fact("ip_forward", switch, _SWITCH_FILE))
    if switch == "0":
        on, off = (("sysctl", "-w", f"net.ipv4.ip_forward={value}") for value in "10")
        remedy = Remedy("Let the kernel forward packets.", (on,), (off,))
        defects.append(Defect(SWITCH, "0", "1", remedy))
    elif not switch:
        unseen.append(f"{_SWITCH_FILE} cannot be read.")
    return defects, unseen


def restart(node: Node, name: str, bridge: Optional[on_the_host.Bridge]) -> Optional[Remedy]:
    """Return how libvirt makes all of it again; nobody does that under guests that are plugged in: None."""
    if bridge is not None and any(port.startswith(("vnet", "tap", "macvtap")) for port in bridge.ports):
        return None
    commands = (command(node, "net-destroy", name), command(node, "net-start", name))
    stays = f"what libvirt made again for the network '{name}' stays"
    summary = f"Stop and start the network '{name}' (no guest is plugged into it)."
    return Remedy(summary, commands, irreversible=stays)
