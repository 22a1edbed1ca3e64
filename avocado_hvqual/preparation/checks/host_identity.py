# SPDX-License-Identifier: GPL-2.0-or-later
"""The node is like the existing ones where it must be, and itself where it must be: no second node of its machine-id, name or UUID."""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from typing import Optional

from avocado_hvqual.errors import DefinitionError
from avocado_hvqual.preparation.likeness import gather, held, profile
from avocado_hvqual.preparation.likeness.held import Held
from avocado_hvqual.preparation.likeness.profile import Profile
from avocado_hvqual.preparation.model import Check, Defect, Fact, Looked, NewFile, Node, Remedy, looked, not_applicable

CAPABILITY = "existing_nodes"
ALONE = "The description of this node names no profile and no peer (identity), so it was held against nobody."
_MACHINE_ID = "/etc/machine-id"


def look(node: Node) -> Looked:
    """Say whether the node has an identity, and is like the profiles and the peer that the operator names."""
    identity = node.expected["identity"]
    here = gather.profile(node, (node.read("/proc/sys/kernel/hostname") or "this node").strip(), 0)
    facts = [
        Fact(name, _text(value), "node facts") for name, value in here.facts.items() if not name.startswith("sysctl.")
    ]
    unseen = [f"{name} was not seen: {why}." for name, why in here.unseen.items()]
    defects = [defect for defect in [_own(node)] if defect]
    others: list[Profile] = []
    for path in identity["profiles"]:
        try:
            others.append(profile.load(Path(path)))
        except DefinitionError as error:
            unseen.append(f"The profile of an existing node cannot be read: {error}")
    if not others and not identity["peer"] and not unseen:
        if not defects and CAPABILITY in node.expected["not_required"]:
            return not_applicable(f"{ALONE} '{CAPABILITY}' is not required.", facts)
        unseen.append(ALONE)
    for it in held.against(node, here, others, identity["peer"]) if others or identity["peer"] else ():
        found, more = _held(node, it, facts)
        defects += found
        unseen += more
    return looked(facts, defects, unseen)


def _text(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _own(node: Node) -> Optional[Defect]:
    """Return what is wrong with the machine-id by itself."""
    text = (node.read(_MACHINE_ID) or "").strip()
    if re.fullmatch(r"[0-9a-f]{32}", text) and text.strip("0"):
        return None
    return Defect("machine-id", f"'{text}'", "32 hexadecimal digits that no other node has", _new_id())


def _new_id() -> Remedy:
    return Remedy(
        "Give the node a machine-id of its own.", files=(NewFile(_MACHINE_ID, f"{uuid.uuid4().hex}\n", 0o444),)
    )


def _held(node: Node, it: Held, facts: list[Fact]) -> tuple[list[Defect], list[str]]:
    """
    Return one comparison as defects, each named by the fact and the other node.

    Networks that the description names have checks of their own, which say more.
    """
    found, described = it.comparison, {f"network.{entry['name']}" for entry in node.expected["networks"]}
    facts.append(Fact(f"facts compared with {found.there}", found.held, "node compare"))
    facts += [Fact(question, answer, "virConnectCompareHypervisorCPU") for question, answer in it.cpus.items()]
    defects = [
        Defect(
            f"{one.name} against {found.there}",
            f"here {one.here}; there {one.there}",
            f"{one.rule}: {one.why}",
            _new_id() if one.name == "host.machine_id" else None,
        )
        for one in found.undeclared
        if one.name not in described
    ]
    return defects, list(found.unseen)


CHECK = Check(
    name="host_identity",
    use_case="hvqual.prep.host_identity",
    why="Guests move between this node and the existing ones: a difference that nobody knows of is found in production.",
    look=look,
)
