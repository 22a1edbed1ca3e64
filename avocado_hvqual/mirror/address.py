# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a mirror goes: ``/path``, ``file:///path`` or ``ssh://[user@]host[:port]/path[?config=FILE]``."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Optional
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from avocado_hvqual.errors import PlanError

# The receiver's text comes first through the pipe. A constant: no path, name or other text of anybody's ever goes through a shell.
BOOTSTRAP = "import sys;exec(sys.stdin.buffer.read(int(sys.stdin.buffer.readline())))"
SSH = (
    "ssh",
    "-T",
    "-o",
    "BatchMode=yes",
    "-o",
    "ConnectTimeout=10",
    "-o",
    "ServerAliveInterval=5",
    "-o",
    "ServerAliveCountMax=3",
    "-o",
    "ClearAllForwardings=yes",
)
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}\Z")
_HOST = re.compile(r"[A-Za-z0-9_:][A-Za-z0-9_.:%-]{0,252}\Z")
EXAMPLES = "'/mnt/mirror/node7', 'file:///mnt/mirror/node7' or 'ssh://ops@desk:22/srv/mirror/node7'"


@dataclass(frozen=True)
class Address:
    """One end of a mirror: the command that runs a receiver there, and the folder that it is told."""

    text: str
    command: tuple[str, ...]
    folder: str


def parse(uri: str) -> Address:
    """Return the address that *uri* names; PlanError says what is wrong with it."""
    if uri.startswith("/"):
        return _local(uri, uri)
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError as error:
        raise _wrong(uri, str(error)) from error
    if parts.scheme == "file":
        if parts.netloc or parts.query or parts.fragment:
            raise _wrong(uri, "a file: address is three slashes and a path")
        return _local(uri, unquote(parts.path))
    if parts.scheme != "ssh":
        raise _wrong(uri, "it begins with neither a slash nor file: nor ssh:")
    return _ssh(uri, parts, port)


def _wrong(uri: str, why: str) -> PlanError:
    return PlanError(f"--mirror takes {EXAMPLES}; '{uri}' is none of these: {why}.")


def _folder(uri: str, path: str) -> str:
    if not path.startswith("/") or "\0" in path or ".." in path.split("/") or not path.strip("/"):
        raise _wrong(uri, "its path is not absolute and plain")
    return "/" + path.strip("/")


def _local(uri: str, path: str) -> Address:
    return Address(uri, (sys.executable, "-I", "-c", BOOTSTRAP), _folder(uri, path))


def _ssh(uri: str, parts: SplitResult, port: Optional[int]) -> Address:
    user, host = unquote(parts.username or ""), unquote(parts.hostname or "")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    config = options.pop("config", None)
    if not _HOST.match(host) or (user and not _USER.match(user)):
        raise _wrong(uri, "its user or host has letters that no user or host has")
    if parts.password is not None or parts.fragment or options:
        raise _wrong(uri, "it takes no password (use a key), no fragment, and no option but config=FILE")
    if config is not None and not Path(config).is_file():
        raise _wrong(uri, f"there is no file '{config}'")
    words = [*SSH, *(["-F", config] if config else []), *(["-p", str(port)] if port else [])]
    words += [*(["-l", user] if user else []), "--", host, f"exec python3 -I -c '{BOOTSTRAP}'"]
    return Address(uri, tuple(words), _folder(uri, unquote(parts.path)))
