# SPDX-License-Identifier: GPL-2.0-or-later
"""A node held against existing ones: by their profiles, and by the peer's libvirt where it can be reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from avocado_hvqual.preparation.likeness import cpus, gather_libvirt
from avocado_hvqual.preparation.likeness.compare import Comparison, Difference, compare
from avocado_hvqual.preparation.likeness.profile import Fact, Profile
from avocado_hvqual.preparation.model import Node


@dataclass(frozen=True)
class Held:
    """One comparison with what libvirt said of the CPUs."""

    comparison: Comparison
    cpus: dict[str, str]


def against(node: Node, here: Profile, others: Sequence[Profile], peer: str = "") -> list[Held]:
    """Return one answer a profile, and one for the *peer* (a libvirt URI) with what libvirt alone can tell."""
    held = [_one(node, here, there) for there in others]
    if peer:
        mine, theirs = by_libvirt(node, _uri(node), here.taken), by_libvirt(node, peer, here.taken)
        held.append(_one(node, mine, theirs, peer))
    return held


def _uri(node: Node) -> str:
    return str(node.expected["libvirt"]["uri"])


def _one(node: Node, here: Profile, there: Profile, peer: str = "") -> Held:
    may_differ = tuple(node.expected["identity"]["may_differ"])
    found, asked = compare(here, there, may_differ), cpus.between(node, _uri(node), here, there, peer)
    more: tuple[Difference, ...] = tuple(replace(it, declared=it.name in may_differ) for it in asked.differences)
    whole = replace(found, differences=found.differences + more, unseen=found.unseen + asked.unseen)
    return Held(whole, asked.told)


def by_libvirt(node: Node, uri: str, taken: int) -> Profile:
    """Return what the libvirt at *uri* alone tells of its host."""
    facts: dict[str, Fact] = {}
    unseen: dict[str, str] = {}
    name = node.run(["virsh", "-q", "-c", uri, "hostname"], timeout=15.0)
    said = name.stdout.strip() if name.ok else ""
    if said:
        facts["host.name"] = said
    else:
        unseen["host.name"] = f"libvirt does not answer at {uri}: {name.why}"
    found = gather_libvirt.gather(node, uri, facts, unseen)
    return Profile(said or uri, taken, facts, unseen, found)
