# SPDX-License-Identifier: GPL-2.0-or-later
"""Two profiles held against each other, fact by fact, by the table in fields.py."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Optional

from avocado_hvqual.preparation.likeness import fields
from avocado_hvqual.preparation.likeness.fields import Field, Rule
from avocado_hvqual.preparation.likeness.profile import Fact, Profile

_EMPTY = {"", "none", "Not Specified"}
_SHOWN = 12
_NO_ROW = Field("", Rule.EQUAL, "the table of facts has no row for it, so nobody has said that it may differ")


@dataclass(frozen=True)
class Difference:
    """One fact that breaks its rule; *declared*: the operator has said that it may."""

    name: str
    rule: str
    here: str
    there: str
    why: str
    declared: bool = False


@dataclass(frozen=True)
class Comparison:
    """What holding a node against another came to; *held* facts were compared, *unseen* are sentences."""

    here: str
    there: str
    held: int
    differences: tuple[Difference, ...]
    unseen: tuple[str, ...]

    @property
    def undeclared(self) -> tuple[Difference, ...]:
        """The differences that nobody has declared."""
        return tuple(it for it in self.differences if not it.declared)


def compare(here: Profile, there: Profile, may_differ: Collection[str] = ()) -> Comparison:
    """Return what differs between the new node *here* and the existing one *there*; *may_differ* are names that the operator gave."""
    differences: list[Difference] = []
    unseen: list[str] = []
    held = 0
    for name in sorted({*here.facts, *there.facts, *here.unseen, *there.unseen}):
        blind = [f"{it.node}: {why}" for it in (here, there) if (why := _unseen(name, it)) is not None]
        if blind:
            if (fields.of(name) or _NO_ROW).rule is not Rule.FREE:
                unseen.append(f"{name} was not seen ({'; '.join(blind)}).")
            continue
        held += 1
        found = difference(name, here.facts.get(name), there.facts.get(name))
        if found is not None:
            declared = name in may_differ
            differences.append(Difference(*found, declared=declared))
    if not held:
        unseen.append(f"{here.node} and {there.node} have no fact in common.")
    return Comparison(here.node, there.node, held, tuple(differences), tuple(unseen))


def _unseen(name: str, profile: Profile) -> Optional[str]:
    """Return why a fact, or all of the kind that it belongs to, was not seen; None when it was, or is known not to be there."""
    if name in profile.facts:
        return None
    parts = name.split(".")
    return next(
        (profile.unseen[it] for n in range(len(parts), 0, -1) if (it := ".".join(parts[:n])) in profile.unseen), None
    )


def difference(name: str, here: Optional[Fact], there: Optional[Fact]) -> Optional[tuple[str, str, str, str, str]]:
    """Return (name, rule, here, there, why) when two values break the fact's rule; None is a thing that the node does not have."""
    row = fields.of(name) or _NO_ROW
    broken = {Rule.EQUAL: _unequal, Rule.OTHER: _same, Rule.LEAST: _less, Rule.FREE: _never}[row.rule]
    if not broken(name, here, there):
        return None
    return (name, row.rule.value, *_shown(here, there), row.why)


def _unequal(_name: str, here: Optional[Fact], there: Optional[Fact]) -> bool:
    return here != there


def _same(_name: str, here: Optional[Fact], there: Optional[Fact]) -> bool:
    return here is not None and here == there and str(here) not in _EMPTY


def _less(name: str, here: Optional[Fact], there: Optional[Fact]) -> bool:
    if there is None:
        return False
    if not (isinstance(here, int) and isinstance(there, int)):
        return here != there
    slack = fields.SLACK if name.endswith("kib") else 0.0
    return here < there * (1 - slack)


def _never(_name: str, _here: Optional[Fact], _there: Optional[Fact]) -> bool:
    return False


def _shown(here: Optional[Fact], there: Optional[Fact]) -> tuple[str, str]:
    """Return two values as text; of two lists what the other lacks."""
    if isinstance(here, tuple) and isinstance(there, tuple):
        return _beyond(here, there), _beyond(there, here)
    return ("none" if here is None else str(here)), ("none" if there is None else str(there))


def _beyond(one: tuple[str, ...], other: tuple[str, ...]) -> str:
    more = [it for it in one if it not in other]
    rest = f" and {len(more) - _SHOWN} more" if len(more) > _SHOWN else ""
    return f"has also {', '.join(more[:_SHOWN])}{rest}" if more else "has nothing more"


def as_json(comparison: Comparison, cpus: Mapping[str, str]) -> dict[str, object]:
    """Return a comparison as the object that `node compare --json` writes."""
    return {
        "here": comparison.here,
        "there": comparison.there,
        "held": comparison.held,
        "cpus": dict(cpus),
        "differences": [vars(it) for it in comparison.differences],
        "unseen": list(comparison.unseen),
    }
