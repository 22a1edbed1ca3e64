# SPDX-License-Identifier: GPL-2.0-or-later
"""The network of this namespace: links, qdiscs, addresses, routes and rules, fixed neighbours."""

from __future__ import annotations

import errno
import hashlib
import socket
import struct

from provider.hvqual.node_items import netlink
from provider.hvqual.node_items.source import Source, UnreachableError

# Flags that somebody sets. RUNNING, LOWER_UP and the operational state follow the cable or the guest at the other end.
_FLAGS = {0x1: "up", 0x80: "noarp", 0x100: "promisc", 0x200: "allmulti"}
_TENTATIVE_AND_KIN = 0x40 | 0x20 | 0x08 | 0x04  # tentative, deprecated, dadfailed, optimistic: they pass by themselves
_TEMPORARY = 0x01  # IPv6: a privacy address, which the kernel replaces every few hours
_PERMANENT_NEIGHBOUR = 0x80
_KERNEL_PROTOCOLS = {1, 2}  # redirects, and what the kernel adds with each address and link: told by those items
_CLONED = 0x200
# htb counts packets within its options.
_COUNTING_QDISCS = {"htb"}


def _real(source: Source) -> None:
    if not source.real:
        message = "a fake root has no network"
        raise UnreachableError(message)


def _names() -> dict[int, str]:
    """The name of each link by its number."""
    found = {}
    for message in netlink.dump(netlink.GETLINK, struct.pack("=BBHiII", 0, 0, 0, 0, 0, 0)):
        index = struct.unpack_from("=BBHiII", message)[3]
        found[index] = netlink.word(netlink.attributes(message, 16).get(3, b"?"))
    return found


def links(source: Source) -> list[str]:
    """Links: kind, administrative flags, MTU, hardware address, master, qdisc, queue length, alias, XDP program."""
    _real(source)
    messages = netlink.dump(netlink.GETLINK, struct.pack("=BBHiII", 0, 0, 0, 0, 0, 0))
    parsed = [(struct.unpack_from("=BBHiII", message), netlink.attributes(message, 16)) for message in messages]
    names = {head[3]: netlink.word(found[3]) for head, found in parsed}
    return [_link(head[4], found, names) for head, found in parsed]


def _link(flags: int, found: dict[int, bytes], names: dict[int, str]) -> str:
    kind = netlink.word(netlink.attributes(found.get(18, b"")).get(1, b"device"))
    parts = [kind, *(word for bit, word in _FLAGS.items() if flags & bit)]
    parts += [
        f"mtu {netlink.number(found[4])}",
        f"mac {found.get(1, b'').hex(':')}",
        f"txqlen {netlink.number(found.get(13, b''))}",
    ]
    if 10 in found:  # noqa: PLR2004 - IFLA_MASTER
        parts.append(f"master {names.get(netlink.number(found[10]), '?')}")
    if 20 in found:  # noqa: PLR2004 - IFLA_IFALIAS
        parts.append(f"alias {netlink.word(found[20])}")
    if netlink.number(netlink.attributes(found.get(43, b"")).get(2, b"")):
        parts.append("xdp")
    return f"{netlink.word(found[3])} = {', '.join(parts)}"


def qdiscs(source: Source) -> list[str]:
    """Queueing disciplines: where netem and rate limits are left over."""
    _real(source)
    names, lines = _names(), []
    for message in netlink.dump(netlink.GETQDISC, struct.pack("=BBHiIII", 0, 0, 0, 0, 0, 0, 0)):
        _, _, _, index, handle, parent, _ = struct.unpack_from("=BBHiIII", message)
        found = netlink.attributes(message, 20)
        kind, options = netlink.word(found.get(1, b"?")), found.get(2, b"")
        if kind == "noqueue":
            continue
        digest = "-" if kind in _COUNTING_QDISCS else hashlib.sha256(options).hexdigest()[:8]
        lines.append(f"{names.get(index, '?')} {handle >> 16:x}: = {kind}, parent {parent:x}, options {digest}")
    return lines


def addresses(source: Source) -> list[str]:
    """IPv4 and IPv6 addresses without their life times."""
    _real(source)
    names, lines = _names(), []
    for message in netlink.dump(netlink.GETADDR, struct.pack("=BBBBi", 0, 0, 0, 0, 0)):
        family, prefix, flags, scope, index = struct.unpack_from("=BBBBi", message)
        found = netlink.attributes(message, 8)
        flags = netlink.number(found[8]) if 8 in found else flags  # noqa: PLR2004 - IFA_FLAGS
        raw = found.get(2, found.get(1, b""))
        if family not in {socket.AF_INET, socket.AF_INET6} or (family == socket.AF_INET6 and flags & _TEMPORARY):
            continue
        text = f"{names.get(index, '?')} {netlink.address(family, raw)}/{prefix}"
        lines.append(f"{text} = scope {scope}, flags {flags & ~_TENTATIVE_AND_KIN:x}")
    return lines


def routes(source: Source) -> list[str]:
    """Routes of every table but those that the kernel adds with an address or a link, and policy rules."""
    _real(source)
    names, lines = _names(), []
    for message in netlink.dump(netlink.GETROUTE, struct.pack("=BBBBBBBBI", *[0] * 9)):
        family, _, _, _, _, protocol, _, _, flags = struct.unpack_from("=BBBBBBBBI", message)
        if protocol in _KERNEL_PROTOCOLS or flags & _CLONED or family not in {socket.AF_INET, socket.AF_INET6}:
            continue
        lines.append(_route(message, names))
    return lines + _rules()


def _route(message: bytes, names: dict[int, str]) -> str:
    family, dst_len, _, tos, table, protocol, scope, kind, _ = struct.unpack_from("=BBBBBBBBI", message)
    found = netlink.attributes(message, 12)
    default = "default" if family == socket.AF_INET else "default (IPv6)"
    to = f"{netlink.address(family, found[1])}/{dst_len}" if 1 in found else default
    via = f" via {netlink.address(family, found[5])}" if 5 in found else ""  # noqa: PLR2004 - RTA_GATEWAY
    dev = f" dev {names.get(netlink.number(found[4]), '?')}" if 4 in found else ""  # noqa: PLR2004 - RTA_OIF
    paths = hashlib.sha256(found.get(9, b"") + found.get(8, b"")).hexdigest()[:8] if {8, 9} & set(found) else "-"
    preferred = netlink.address(family, found[7]) if 7 in found else "-"  # noqa: PLR2004 - RTA_PREFSRC
    number = netlink.number(found.get(15, bytes([table])))
    what = f"type {kind}, table {number}, protocol {protocol}, scope {scope}, tos {tos}, src {preferred}, paths {paths}"
    return f"{to}{via}{dev} = {what}, metric {netlink.number(found.get(6, b''))}"


def _rules() -> list[str]:
    """Policy rules, their attributes as they are (each is set by somebody); a kernel that was built without them has none."""
    lines = []
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            messages = netlink.dump(netlink.GETRULE, struct.pack("=BBBBBBBBI", family, *[0] * 8))
        except UnreachableError as error:
            if not isinstance(error.__cause__, OSError) or error.__cause__.errno != errno.EOPNOTSUPP:
                raise
            return ["rules = this kernel was built without CONFIG_IP_MULTIPLE_TABLES"]
        for message in messages:
            head = message[:12].hex()
            found = netlink.attributes(message, 12)
            priority = netlink.number(found.get(6, b""))
            rest = hashlib.sha256(repr(sorted(found.items())).encode()).hexdigest()[:8]
            lines.append(f"rule {'IPv4' if family == socket.AF_INET else 'IPv6'} {priority} = {head} {rest}")
    return lines


def neighbours(source: Source) -> list[str]:
    """Neighbours that somebody fixed by hand; learnt ones come and go."""
    _real(source)
    names, lines = _names(), []
    for message in netlink.dump(netlink.GETNEIGH, struct.pack("=BBHiHBB", 0, 0, 0, 0, 0, 0, 0)):
        family, _, _, index, state, _, _ = struct.unpack_from("=BBHiHBB", message)
        found = netlink.attributes(message, 12)
        if state & _PERMANENT_NEIGHBOUR and 1 in found:
            lines.append(f"{names.get(index, '?')} {netlink.address(family, found[1])} = {found.get(2, b'').hex(':')}")
    return lines
