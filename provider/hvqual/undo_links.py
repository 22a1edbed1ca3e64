# SPDX-License-Identifier: GPL-2.0-or-later
"""Links that were set down: what has to come back with them, and which may never go down."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

_TIMEOUT_S = 10.0
_FAMILIES = ("-4", "-6")
# What the kernel shows but does not take back.
_NOT_TAKEN = {"linkdown", "dead", "offload", "trap", "onlink_dead"}
_NOT_TAKEN_WITH_VALUE = {"expires", "error", "pref"}


def _ip(*arguments: str) -> str:
    """Run ip; OSError with its words when it refuses."""
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    if done.returncode != 0:
        message = f"'ip {' '.join(arguments)}' ended with {done.returncode}: {done.stderr.strip()}"
        raise OSError(message)
    return done.stdout


def is_up(link: str) -> bool | None:
    """Whether a link is administratively up, None when there is no such link in this network namespace."""
    try:
        text = _ip("-o", "link", "show", "dev", link)
    except OSError:
        return None
    return "UP" in text.split("<", 1)[1].split(">", 1)[0].split(",")


def addresses(link: str) -> list[str]:
    """The IPv6 addresses that somebody gave a link: the kernel forgets them when it goes down (IPv4 ones stay)."""
    lines = _ip("-6", "-o", "addr", "show", "dev", link, "permanent").splitlines()
    return [line.split()[3] for line in lines if line.split()[2] == "inet6" and "scope link" not in line]


def routes(link: str) -> list[list[str]]:
    """The routes by way of a link but the kernel's own, each as words for ip, in an order in which they can be set."""
    found = []
    for family in _FAMILIES:
        for line in _ip(family, "route", "show", "table", "all", "dev", link).splitlines():
            words = _taken(line.split())
            if "kernel" not in words:
                found.append([family, "route", "replace", *words, "dev", link])
    # A gateway can only be set once the route to it is there.
    return sorted(found, key=lambda words: "via" in words)


def _taken(words: list[str]) -> list[str]:
    """A route's words without those that ip only shows."""
    kept, skip = [], False
    for word in words:
        if skip:
            skip = False
        elif word in _NOT_TAKEN_WITH_VALUE:
            skip = True
        elif word not in _NOT_TAKEN:
            kept.append(word)
    return kept


def refuse_down(link: str) -> str | None:
    """Why a link may not be set down, None when it may (decision 7)."""
    up = is_up(link)
    if up is None:
        return f"There is no link '{link}' in this network namespace."
    if not up:
        return f"Link '{link}' is down already; it was to be set down."
    for family in _FAMILIES:
        if f" dev {link} " in f"{_ip(family, 'route', 'show', 'default')} ".replace("\n", " "):
            return f"Link '{link}' carries the default route: it is never set down without a timed roll-back."
    session = os.environ.get("SSH_CONNECTION", "").split()
    if len(session) == 4 and f" {session[2]}/" in _ip("-o", "addr", "show", "dev", link):  # noqa: PLR2004
        return f"Link '{link}' carries the controlling session: it is never set down without a timed roll-back."
    return None


def link_up(details: dict[str, Any], _home: Path) -> tuple[str, str]:
    """Set a link up and put back the addresses and routes that went down with it."""
    link = str(details["link"])
    was_up = is_up(link)
    if was_up is None:
        return "gone", f"there is no link '{link}' any more"
    if not was_up:
        _ip("link", "set", "dev", link, "up")
    for address in details.get("addresses", []):
        if address not in addresses(link):
            _ip("-6", "addr", "add", address, "dev", link, "nodad")
    missing = [route for route in details.get("routes", []) if route not in routes(link)]
    for route in missing:
        _ip(*route)
    still = [route for route in details.get("routes", []) if route not in routes(link)]
    if not is_up(link) or still:
        return "failed", f"link '{link}' is not as it was: up {is_up(link)}, {len(still)} routes are missing"
    return "restored", f"link '{link}' is up" + (f", {len(missing)} routes put back" if missing else "")


def link_del(details: dict[str, Any], _home: Path) -> tuple[str, str]:
    """Delete a link of ours."""
    link = str(details["link"])
    if is_up(link) is None:
        return "gone", f"there is no link '{link}' any more"
    _ip("link", "del", "dev", link)
    return "restored", f"link '{link}' deleted"
