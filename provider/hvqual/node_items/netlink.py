# SPDX-License-Identifier: GPL-2.0-or-later
"""Dumps from the kernel's routing socket: what `ip` shows, at a hundredth of its cost."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator

from provider.hvqual.node_items.source import UnreachableError

GETLINK, GETADDR, GETROUTE, GETNEIGH, GETRULE, GETQDISC = 18, 22, 26, 30, 34, 38
_REQUEST_DUMP = 0x1 | 0x300
_ERROR, _DONE = 2, 3
_INTERRUPTED = 0x10
_HEADER = struct.Struct("=IHHII")
_TIMEOUT_S = 5.0
_TRIES = 5


class _InterruptedDumpError(Exception):
    """Raised when the kernel says that something changed while it was dumping."""


def dump(kind: int, body: bytes) -> list[bytes]:
    """The messages (without header) of one dump, whole and consistent; UnreachableError when there is none."""
    for _ in range(_TRIES):
        try:
            return list(_dump(kind, body))
        except _InterruptedDumpError:
            continue
        except OSError as error:
            message = f"netlink request {kind} failed: {error.strerror or error}"
            raise UnreachableError(message) from error
    message = f"netlink request {kind} was interrupted {_TRIES} times by changes"
    raise UnreachableError(message)


def _dump(kind: int, body: bytes) -> Iterator[bytes]:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0) as connection:
        connection.settimeout(_TIMEOUT_S)
        connection.bind((0, 0))
        connection.send(_HEADER.pack(_HEADER.size + len(body), kind, _REQUEST_DUMP, 1, 0) + body)
        while True:
            data, at = connection.recv(1 << 18), 0
            while at < len(data):
                length, answer, flags, _, _ = _HEADER.unpack_from(data, at)
                payload = data[at + _HEADER.size : at + length]
                at += (length + 3) & ~3
                if flags & _INTERRUPTED:
                    raise _InterruptedDumpError
                if answer == _DONE:
                    return
                if answer == _ERROR:
                    number = -struct.unpack_from("=i", payload)[0]
                    raise OSError(number, os.strerror(number))
                yield payload


def attributes(data: bytes, at: int = 0) -> dict[int, bytes]:
    """The attributes that follow a message's fixed part, by number."""
    found: dict[int, bytes] = {}
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, at)
        if length < 4:  # noqa: PLR2004 - an attribute's own header
            break
        found[kind & 0x3FFF] = data[at + 4 : at + length]
        at += (length + 3) & ~3
    return found


def address(family: int, raw: bytes) -> str:
    """An address as people write it."""
    return socket.inet_ntop(family, raw) if family in {socket.AF_INET, socket.AF_INET6} else raw.hex(":")


def word(raw: bytes) -> str:
    """A string attribute."""
    return raw.split(b"\0", 1)[0].decode(errors="replace")


def number(raw: bytes) -> int:
    """An unsigned attribute of 1, 2, 4 or 8 bytes in the host's order."""
    return int.from_bytes(raw, "little" if struct.pack("=H", 1)[0] else "big")
