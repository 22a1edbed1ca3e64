# SPDX-License-Identifier: GPL-2.0-or-later
"""What is written to a LUN past the page cache comes back by every path, from its first byte to its last."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from avocado_hvqual.preparation import luns
from avocado_hvqual.preparation.checks.raw_lun import CAPABILITY, ask
from avocado_hvqual.preparation.model import Check, Defect, Fact, Looked, Node, looked, not_applicable

_TIMEOUT_S = 120.0


def look(node: Node) -> Looked:
    """Say whether the pattern came back from each listed LUN; one that is not free is not written to."""
    wanted = luns.listed(node)
    if not wanted:
        return not_applicable("The description of this node lists no LUN: nothing may be written to.")
    owners = luns.of_domains(node)
    if owners is None:
        sentence = "libvirt does not answer: whether a LUN is a domain's disk is not known, and none is written to."
        return looked(unseen=[sentence])
    facts: list[Fact] = []
    defects: list[Defect] = []
    unseen: list[str] = []
    for entry in wanted:
        name, lun = f"LUN {entry['wwid']}", luns.find(node, entry["wwid"])
        held = luns.used_by(node, lun, owners) if lun else ["not there"]
        told = ask(node, "pattern", lun, timeout=_TIMEOUT_S) if lun and not held else {"error": ", ".join(held)}
        if "error" in told:
            unseen.append(f"{name} was not written to, or not to its end: {told['error']}.")
            continue
        source = f"O_DIRECT on {lun.node if lun else ''}"
        facts.append(Fact(f"{name}: written and read", f"3 x 1 MiB in {told['write_s']} s", source))
        facts.append(Fact(f"{name}: SHA-256 of the pattern", told["sha256"], source))
        defects += _judged(name, told)
    return looked(facts, defects, unseen)


def _judged(name: str, told: dict[str, Any]) -> Iterator[Defect]:
    """Yield what did not come back from a LUN, and what could not be put back on it."""
    if told["wrong"]:
        found = "something else at " + ", ".join(told["wrong"])
        yield Defect(f"{name}: data", found, "what was written", capability=CAPABILITY)
    if told["not_put_back"]:
        at = ", ".join(map(str, told["not_put_back"]))
        yield Defect(f"{name}: data before", f"not put back at {at}", "put back", capability=CAPABILITY)


CHECK = Check(
    name="storage.raw_lun.pattern",
    use_case="hvqual.prep.storage.raw_lun",
    why="A path that answers is not yet one that keeps what it is given.",
    look=look,
    touches=("Three pieces of 1 MiB of each listed LUN that is provably free are written, read, and put back.",),
)
