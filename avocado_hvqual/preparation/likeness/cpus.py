# SPDX-License-Identifier: GPL-2.0-or-later
"""Can a guest of the one node run on the other? Asked of libvirt, which knows what its hypervisor can give, in both directions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional
from xml.etree import ElementTree as ET

from avocado_hvqual.preparation.answers import error_of, of_program
from avocado_hvqual.preparation.likeness.compare import Difference
from avocado_hvqual.preparation.likeness.gather_libvirt import KINDS
from avocado_hvqual.preparation.likeness.profile import Profile
from avocado_hvqual.preparation.model import Node

_TIMEOUT_S = 30.0
_WHY = "a guest that is moved or restored stops, or crashes, where its CPU cannot be given"
_RULE = "must be able to run each other's guests"
_WELL = {"identical", "superset"}


@dataclass(frozen=True)
class Cpus:
    """What libvirt said: *told* by question, and what follows from it."""

    told: dict[str, str]
    differences: tuple[Difference, ...]
    unseen: tuple[str, ...]


def between(node: Node, uri: str, here: Profile, there: Profile, peer: str = "") -> Cpus:
    """Ask this node's libvirt at *uri* about the other's CPU, and the *peer*'s, if it can be reached, about this one's."""
    kind = next((kind for kind in KINDS if kind in here.cpus and kind in there.cpus), None)
    if kind is None:
        sentence = (
            f"libvirt tells no CPU for guests that both have: {here.node} and {there.node} were not compared by it."
        )
        return Cpus({}, (), (sentence,))
    told, differences, unseen = {"kind": kind}, [], []
    questions = [(here, there, uri)] + ([(there, here, peer)] if peer else [])
    for at, of, where in questions:
        answer = _ask(node, where, kind, of, at)
        if "error" in answer:
            unseen.append(f"libvirt at {where} could not compare the CPU of {of.node}: {answer['error']}.")
            continue
        told[f"guests of {of.node} at {at.node}"] = answer["compare"]
        told[f"baseline at {at.node}"] = answer["baseline"]
        differences += _judged(answer, at.node, of.node)
    if not peer and told.get(f"guests of {there.node} at {here.node}") == "superset":
        differences += _more(here, there, kind)
    return Cpus(told, tuple(differences), tuple(unseen))


def _ask(node: Node, uri: str, kind: str, of: Profile, at: Profile) -> dict[str, str]:
    run = node.ask("cpu_between", uri, kind, of.cpus[kind], at.cpus[kind], timeout=_TIMEOUT_S)
    told = of_program(run, "compare", "why", "baseline")
    return {"error": error_of(run)} if told is None else {key: str(value) for key, value in told.items()}


def _judged(answer: dict[str, str], at: str, of: str) -> list[Difference]:
    if answer["compare"] not in _WELL:
        found = f"{answer['compare']} at {at}{': ' + answer['why'] if answer['why'] else ''}"
        return [Difference(f"cpu of {of} at {at}", _RULE, found, f"guests of {of}", _WHY)]
    if not answer["baseline"]:
        found = f"none at {at}{': ' + answer['why'] if answer['why'] else ''}"
        return [Difference(f"cpu baseline at {at}", _RULE, found, "one that guests of both may have", _WHY)]
    return []


def _more(here: Profile, there: Profile, kind: str) -> list[Difference]:
    """Return what this node's guests may have and the other cannot give, by the texts alone: nobody there could be asked."""
    mine, theirs = _features(here.cpus[kind]), _features(there.cpus[kind])
    if mine is None or theirs is None or mine == theirs:
        return []
    more, less = ", ".join(sorted(mine - theirs)) or "nothing more", ", ".join(sorted(theirs - mine)) or "nothing more"
    return [Difference(f"cpu of {here.node} at {there.node}", _RULE, f"has also {more}", f"has also {less}", _WHY)]


def _features(cpu: str) -> Optional[set[str]]:
    try:
        root = ET.fromstring(cpu)  # noqa: S314 - a profile that the operator names
    except ET.ParseError:
        return None
    features = {f"{it.get('policy', 'require')} {it.get('name', '')}" for it in root.findall("feature")}
    return features | {f"model {root.findtext('model', '')}"}
