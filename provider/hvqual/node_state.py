# SPDX-License-Identifier: GPL-2.0-or-later
"""
What a node looks like, cheap enough to ask before and after every case: the run proves that it left the node as it found it.

Decision 8. Each item is a list of lines, ``key`` or ``key = value``, made by one reader of provider/hvqual/node_items.
As a script: ``python node_state.py capture [--uri U] [--folder F]...`` and ``python node_state.py diff A.json B.json``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

# Run as a script, our own folder must not shadow modules, and the provider's root must be found.
if __package__ in {None, ""}:
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from provider.hvqual import node_items
from provider.hvqual.node_items.source import Source

SEPARATOR = " = "
UNREACHABLE = f"unreachable{SEPARATOR}"
FORMAT = 1
_MANY = 3
_LONG = 100


@dataclass(frozen=True)
class NodeState:
    """A node's state at one moment: for each item its sorted lines. Equal states have equal digests, and only they."""

    items: Mapping[str, tuple[str, ...]]

    @property
    def digest(self) -> str:
        """SHA-256 over all items and their lines, in hexadecimal."""
        return hashlib.sha256(
            json.dumps({name: list(lines) for name, lines in self.items.items()}, sort_keys=True).encode()
        ).hexdigest()

    @property
    def unreachable(self) -> list[str]:
        """The items of which nothing is known, with the reason: two such states are equal and prove nothing."""
        return [
            f"{name}: {line}" for name, lines in self.items.items() for line in lines if line.startswith(UNREACHABLE)
        ]

    def as_json(self) -> dict[str, Any]:
        """The state as JSON knows it, the digest beside it for the reader."""
        return {
            "format": FORMAT,
            "digest": self.digest,
            "items": {name: list(lines) for name, lines in self.items.items()},
        }

    @classmethod
    def from_json(cls, data: Any) -> NodeState:
        """The state from as_json(); ValueError when it is not one, or not the one that its digest says."""
        if not isinstance(data, dict) or data.get("format") != FORMAT or not isinstance(data.get("items"), dict):
            message = f"this is no node state of format {FORMAT}"
            raise ValueError(message)
        state = cls({str(name): tuple(str(line) for line in lines) for name, lines in data["items"].items()})
        if state.digest != data.get("digest"):
            message = f"the items have the digest {state.digest}, the file says {data.get('digest')}: it was changed"
            raise ValueError(message)
        return state


def capture(
    libvirt_uri: str = "qemu:///system", *, folders: Sequence[str | Path] = (), source: Optional[Source] = None
) -> NodeState:
    """
    The state of the node that this process runs on (its namespaces), with the image *folders* beside libvirt's own.

    A source that does not answer gives a line that says so, never an empty item: an unreachable libvirtd is not "no domains".
    """
    where = source or Source(libvirt_uri=libvirt_uri, folders=tuple(str(folder) for folder in folders))
    return NodeState({name: tuple(sorted(lines)) for name, lines in node_items.read(where).items()})


def diff(before: NodeState, after: NodeState) -> list[str]:
    """
    What changed from *before* to *after*, a sentence's part each: 'links: +vnet3', 'hugepages: 2048kB nr 0 -> 4'.

    Empty exactly when the two are equal. Settings of a link that came or went are told with the link alone.
    """
    told: list[str] = []
    for name in [*before.items, *(name for name in after.items if name not in before.items)]:
        told += [f"{name}: {change}" for change in _changes(before.items.get(name, ()), after.items.get(name, ()))]
    links = {change[len("links: +") :].split(" ")[0] for change in told if change.startswith(("links: +", "links: -"))}
    shown = [change for change in told if not _implied(change, links)]
    return shown or told


def _implied(change: str, links: set[str]) -> bool:
    """Whether a change of /proc/sys only says again that a link came or went."""
    if not change.startswith(("sysctl: +net/", "sysctl: -net/")):
        return False
    parts = change.split(" ")[1].split("/")
    return any(part in links for part in parts)


def _keyed(lines: Sequence[str]) -> dict[str, list[str]]:
    """The values of each key."""
    keyed: dict[str, list[str]] = {}
    for line in lines:
        key, _, value = line.partition(SEPARATOR)
        keyed.setdefault(key, []).append(value)
    return keyed


def _changes(before: Sequence[str], after: Sequence[str]) -> list[str]:
    """The changes of one item: changed keys first, then what is new, then what is gone."""
    old, new = _keyed(before), _keyed(after)
    changed, added, removed = [], [], []
    for key in sorted({*old, *new}):
        was, now = Counter(old.get(key, [])), Counter(new.get(key, []))
        gone, come = sorted((was - now).elements()), sorted((now - was).elements())
        if len(gone) == len(come) == 1:
            changed.append(f"{key} {_short(gone[0])} -> {_short(come[0])}")
        else:
            added += [(key, value) for value in come]
            removed += [(key, value) for value in gone]
    return changed + _listed("+", added) + _listed("-", removed)


def _listed(sign: str, lines: list[tuple[str, str]]) -> list[str]:
    """Each line with its sign; many beneath one folder are told as one."""
    beneath = Counter(key.rpartition("/")[0] for key, _ in lines if " " not in key)
    told: dict[str, None] = {}
    for key, value in lines:
        folder = key.rpartition("/")[0]
        if folder and " " not in key and beneath[folder] > _MANY:
            told[f"{sign}{folder}/* ({beneath[folder]} entries)"] = None
        else:
            text = f"{sign}{key} ({_short(value)})" if value else f"{sign}{key}"
            while text in told:  # the same line twice is two leftovers
                text += " (again)"
            told[text] = None
    return list(told)


def _short(value: str) -> str:
    """A value short enough for a report's line."""
    return value if len(value) <= _LONG else f"{value[:_LONG]}..."


def _load(path: str) -> NodeState:
    try:
        return NodeState.from_json(json.loads(Path(path).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{path}:1: {error}\n")
        raise SystemExit(2) from error


def main(arguments: list[str] | None = None) -> int:
    """Write the state or the differences as JSON; exit 1 when there are differences, 2 for a bad command line."""
    parser = argparse.ArgumentParser(
        prog="node_state.py", description="The state of this node, and what changed in it."
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    ask = verbs.add_parser("capture", help="write the node's state")
    ask.add_argument("--uri", default="qemu:///system", help="libvirt's URI")
    ask.add_argument("--folder", action="append", default=[], help="an image folder more")
    compare = verbs.add_parser("diff", help="what changed from one state to the other")
    compare.add_argument("before")
    compare.add_argument("after")
    given = parser.parse_args(arguments)
    if given.verb == "capture":
        sys.stdout.write(json.dumps(capture(given.uri, folders=given.folder).as_json()) + "\n")
        return 0
    changes = diff(_load(given.before), _load(given.after))
    sys.stdout.write(json.dumps(changes, indent=1) + "\n")
    return 1 if changes else 0


if __name__ == "__main__":
    sys.exit(main())
