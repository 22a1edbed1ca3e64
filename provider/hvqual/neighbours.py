# SPDX-License-Identifier: GPL-2.0-or-later
"""
Who answers at an address of the guests' network, by the host's own table of neighbours.

avocado-vt 113 asks arping whose an address is before each login, unless the table tells it already. That took up to ten seconds where a
guest has two interfaces on one network, each of which answers for both addresses as Linux does by itself, or came from a save file.
"""

from __future__ import annotations

import socket
from pathlib import Path

ARP = Path("/proc/net/arp")
COMPLETE = 0x2
CONNECT = 2.0
"""For so many seconds one attempt may take: two of the kernel's own, a second apart."""


def answering(address: str, port: int) -> str:
    """Return the MAC address (lower case) of who accepts a TCP connection to *address* (IPv4) at *port*; "" when nobody does."""
    try:
        socket.create_connection((address, port), timeout=CONNECT).close()
    except OSError:
        return ""
    return mac_of(address, ARP.read_text(encoding="ascii"))


def mac_of(address: str, table: str) -> str:
    """Return the MAC address of *address* in *table* (the text of /proc/net/arp); "" where it is not there or not known yet."""
    for line in table.splitlines()[1:]:
        fields = line.split()
        if fields[0] == address and int(fields[2], 16) & COMPLETE:
            return fields[3].lower()
    return ""
