# SPDX-License-Identifier: GPL-2.0-or-later
"""Sockets on which somebody listens, by address, never by process."""

from __future__ import annotations

import re
import socket
import struct

from provider.hvqual.node_items.processes import normalise
from provider.hvqual.node_items.source import Source

IGNORED_PATHS: dict[str, str] = {
    r".*/avocado_[^/]+/\.status_server\.sock": "the running avocado job's own",
    r"/run/user/.*": "login sessions",
    r".*/pymp-[^/]+/.*": "Python's own, of the running job",
}
_IGNORED = re.compile("(?:" + "|".join(IGNORED_PATHS) + ")$")
_LISTEN, _UNCONNECTED = "0A", "07"
_ACCEPTS = 0x10000
_EPHEMERAL = (32768, 60999)
_UNIX_PATH = 7
# ICMP and ICMPv6: whoever pings holds one for a moment; dnsmasq does before it gives an address (seen with 2.90).
_PINGS = {("raw", 1), ("raw6", 58)}


def sockets(source: Source) -> list[str]:
    """Listening TCP and UNIX sockets, bound UDP and raw sockets; not UDP on ephemeral ports or pings: those are clients."""
    lines = []
    low, high = _ephemeral(source)
    for name, state in (
        ("tcp", _LISTEN),
        ("tcp6", _LISTEN),
        ("udp", _UNCONNECTED),
        ("udp6", _UNCONNECTED),
        ("raw", ""),
        ("raw6", ""),
    ):
        for fields in _table(source, name):
            address, port = _endpoint(fields[1])
            client = (name.startswith("udp") and low <= port <= high) or (name, port) in _PINGS
            if (not state or fields[3] == state) and not client:
                lines.append(f"{name} {address}:{port}")
    return lines + _unix(source)


def _ephemeral(source: Source) -> tuple[int, int]:
    text = (source.setting("/proc/sys/net/ipv4/ip_local_port_range") or "").split()
    return (int(text[0]), int(text[1])) if len(text) == len(_EPHEMERAL) else _EPHEMERAL


def _table(source: Source, name: str) -> list[list[str]]:
    return [line.split() for line in (source.text(f"/proc/net/{name}") or "").splitlines()[1:]]


def _endpoint(text: str) -> tuple[str, int]:
    """'0100007F:1F90' as address and port; the kernel writes words of 32 bits in the host's order."""
    raw, _, port = text.partition(":")
    words = b"".join(struct.pack("=I", int(raw[at : at + 8], 16)) for at in range(0, len(raw), 8))
    return socket.inet_ntop(socket.AF_INET if len(words) == len("ipv4") else socket.AF_INET6, words), int(port, 16)


def _unix(source: Source) -> list[str]:
    """UNIX sockets that accept, by path; abstract names are made up by their programs."""
    found = set()
    for fields in _table(source, "unix"):
        accepts = len(fields) > _UNIX_PATH and int(fields[3], 16) & _ACCEPTS
        if accepts and not fields[_UNIX_PATH].startswith("@"):
            path = normalise(" ".join(fields[_UNIX_PATH:]))
            if not _IGNORED.match(path):
                found.add(f"unix {path}")
    return list(found)
