# SPDX-License-Identifier: GPL-2.0-or-later
"""Packet filters: the nft rule set, and the iptables view, which alone shows what extensions (-m, -j) were told."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from provider.hvqual.node_items.source import Source, UnreachableError

COMMANDS = {"nft": ["nft", "-j", "list", "ruleset"], "iptables": ["iptables-save"], "ip6tables": ["ip6tables-save"]}
_LEGACY = {"iptables-legacy": ["iptables-legacy-save"], "ip6tables-legacy": ["ip6tables-legacy-save"]}
# Asked only where legacy tables exist: asking would create them.
COMMANDS_WITH_LEGACY = {**COMMANDS, **_LEGACY}
_COUNTERS = re.compile(r" \[\d+:\d+\]$")
# Counts what passed by.
_COUNTING = {"counter", "quota"}


def _stable(value: Any) -> Any:
    """A piece of the rule set without handles and counts."""
    if isinstance(value, dict):
        kept = {key: _stable(inner) for key, inner in value.items() if key != "handle"}
        return {key: ("..." if key in _COUNTING and isinstance(inner, dict) else inner) for key, inner in kept.items()}
    if isinstance(value, list):
        return [_stable(inner) for inner in value]
    return value


def nft(source: Source) -> list[str]:
    """Each table, chain, set and rule; the order of a chain's rules is told by the chain."""
    try:
        entries = json.loads(source.output("nft"))["nftables"]
    except (ValueError, KeyError, TypeError) as error:
        message = "'nft -j list ruleset' wrote no rule set"
        raise UnreachableError(message) from error
    lines: list[str] = []
    order: dict[str, list[str]] = {}
    for entry in entries:
        for kind, body in entry.items():
            if kind != "metainfo":
                lines.append(_nft_line(kind, dict(body), order))
    return lines + [
        f"order {where} = {hashlib.sha256(repr(rules).encode()).hexdigest()[:8]}" for where, rules in order.items()
    ]


def _nft_line(kind: str, body: dict[str, Any], order: dict[str, list[str]]) -> str:
    """One piece of the rule set; elements of sets that fill by traffic or run out are not state."""
    where = f"{body.pop('family', '')} {body.pop('table', '')} {body.pop('chain', '')}".split()
    name = body.pop("name", "")
    if {"dynamic", "timeout"} & {*body.get("flags", []), *body} and "elem" in body:
        del body["elem"]
    text = json.dumps(_stable(body), sort_keys=True, separators=(",", ":"))
    if kind == "rule":
        order.setdefault(" ".join(where), []).append(text)
        return f"rule {' '.join(where)} = {text}"
    return f"{kind} {' '.join([*where, name])} = {text}"


def iptables(source: Source) -> list[str]:
    """The rules as iptables and ip6tables (and their legacy forms, where in use) save them, without counters and dates."""
    names = ["iptables", "ip6tables"]
    if source.text("/proc/net/ip_tables_names"):
        names += list(_LEGACY)
    lines = []
    for name in names:
        table = ""
        for line in source.output(name).splitlines():
            if line.startswith("*"):
                table = line[1:]
            elif line and not line.startswith("#") and line != "COMMIT":
                lines.append(f"{name} {table} {_COUNTERS.sub('', line)}")
    return lines
