# SPDX-License-Identifier: GPL-2.0-or-later
"""What a profile requires on this node: the cases in their order, and the rows of the requirement that no case answers."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Optional, Protocol, Union

from avocado_hvqual import required
from avocado_hvqual.errors import PlanError
from avocado_hvqual.locked_limits import Locked, Weaker
from avocado_hvqual.model.case import CaseKey, Phase, RequiredRow
from avocado_hvqual.model.plan import Plan, PlannedCase, Profile


class Entry(Protocol):
    """A case with the avocado runnable that runs it; the catalog's entries are such."""

    @property
    def planned(self) -> PlannedCase:
        """What the cfg says of the case."""

    @property
    def runnable(self) -> Any:
        """What avocado runs."""


class Change(NamedTuple):
    """A parameter of a case that is not what the profile says."""

    key: CaseKey
    name: str
    shipped: Optional[str]
    given: str


class Ready(NamedTuple):
    """A planned case with its runnable, both at the profile and with the given parameters."""

    planned: PlannedCase
    runnable: Any


@dataclass(frozen=True)
class Made:
    """A plan with its runnables; ``missing`` are required keys without a case, ``changes`` what differs from the profile."""

    profile: Profile
    only: tuple[str, ...]
    cases: tuple[Ready, ...]
    required: tuple[RequiredRow, ...]
    missing: tuple[tuple[Phase, CaseKey], ...]
    changes: tuple[Change, ...]

    @property
    def weaker(self) -> tuple[Weaker, ...]:
        """The limits that are weaker than those with which the cases ship, or gone: nobody is asked enough by them."""
        locked = Locked(self.required, self.profile.name)
        return tuple(one for case in self.cases for one in locked.weaker(case.planned))

    @property
    def part(self) -> bool:
        """Whether this can only ever be a SELECTION."""
        return self.profile.part or bool(self.only)

    @property
    def plan(self) -> Plan:
        """The plan as the journal keeps it."""
        return Plan(self.profile.name, tuple(case.planned for case in self.cases), self.required)

    @property
    def denominator(self) -> int:
        """The cases that must be attempted: the planned ones and those that are missing."""
        return len(self.cases) + len(self.missing)

    def missing_in(self, phase: Phase) -> list[CaseKey]:
        """Return the required keys of a phase that no case answers."""
        return [key for of, key in self.missing if of is phase]

    def phases(self) -> list[Phase]:
        """Return the phases that hold a case, in their order."""
        held = {case.planned.phase for case in self.cases}
        return [phase for phase in Phase if phase in held]


class _Name(NamedTuple):
    """What --only may name of a case or of a required row."""

    key: CaseKey
    category: str


def _below(identifier: str, prefix: str) -> bool:
    return identifier == prefix or identifier.startswith(f"{prefix}.")


def matches(name: Union[_Name, PlannedCase], wanted: str) -> bool:
    """Return whether a word of --only names a case: its category, its id or a beginning of it, or its whole key."""
    identifier = name.key.hv_id
    return (
        wanted in {name.category, str(name.key)} or _below(identifier, wanted) or _below(identifier, f"hvqual.{wanted}")
    )


def _check_only(names: Sequence[_Name], only: Sequence[str]) -> None:
    for wanted in only:
        if any(matches(name, wanted) for name in names):
            continue
        ids = {name.key.hv_id for name in names}
        known = {name.category for name in names} | ids | {identifier[len("hvqual.") :] for identifier in ids}
        near = difflib.get_close_matches(wanted, sorted(known), n=3, cutoff=0.5)
        hint = f"Did you mean {' or '.join(map(repr, near))}?" if near else "'avocado hvqual plan' lists what there is."
        message = f"--only names '{wanted}', but the profile has no such category or case. {hint}"
        raise PlanError(message)


def _in_profile(key: CaseKey, profile: Profile) -> bool:
    return (
        key.vt_type in {*profile.backends, "any"}
        and key.configuration in profile.host_configurations
        and any(_below(key.hv_id, prefix) for prefix in profile.ids)
    )


def _order(case: PlannedCase) -> tuple[int, str, str, CaseKey]:
    """Sort by phase, category, id: avocado-vt's own order differs from run to run."""
    return list(Phase).index(case.phase), case.category, case.key.hv_id, case.key


def _set(kwargs: dict[str, Any], name: str, value: str, profile: str) -> Optional[str]:
    """
    Give a runnable a parameter and return what it had.

    A value with the profile's suffix would win over the plain name in the test, so that one is set as well.
    """
    suffixed = f"{name}_{profile}"
    shipped = kwargs.get(suffixed, kwargs.get(name))
    kwargs[name] = value
    if suffixed in kwargs:
        kwargs[suffixed] = value
    return shipped


def _check_params(entries: Sequence[Entry], params: Mapping[str, str]) -> None:
    known = {name for entry in entries for name in entry.runnable.kwargs if name.startswith("hv_")}
    for name in params:
        if name.startswith("hv_") and name not in known:
            near = difflib.get_close_matches(name, sorted(known), n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            message = f"--param names '{name}', which no case of this plan has.{hint}"
            raise PlanError(message)


def _ready(entry: Entry, profile: Profile, params: Mapping[str, str], changes: list[Change]) -> Ready:
    kwargs = entry.runnable.kwargs
    kwargs["hv_profile"] = profile.name
    seen = dict(entry.planned.params)
    for name, value in {**profile.params, **params}.items():
        if name.startswith("hv_") and name not in kwargs:
            continue
        shipped = _set(kwargs, name, value, profile.name)
        if name.startswith("hv_"):
            seen[name] = value
        if name in params and shipped != value:
            changes.append(Change(entry.planned.key, name, shipped, value))
    return Ready(replace(entry.planned, params=seen), entry.runnable)


def make(
    profile: Profile,
    cases: Mapping[CaseKey, Entry],
    rows: Sequence[RequiredRow],
    only: Sequence[str] = (),
    params: Optional[Mapping[str, str]] = None,
) -> Made:
    """
    Return the plan of a profile over the catalog's cases and the rows of the requirement.

    The runnables get the profile and the given parameters; the limits in the plan stay the shipped ones, so that the judge
    sees a weaker one. PlanError when --only or --param name something unknown or nothing is left.
    """
    here = [entry for key, entry in cases.items() if _in_profile(key, profile)]
    asked = [(row, key) for row in rows for key in required.keys(row) if _in_profile(key, profile)]
    names = [_Name(entry.planned.key, entry.planned.category) for entry in here]
    _check_only(names + [_Name(key, required.category(row)) for row, key in asked], only)

    def chosen(name: _Name) -> bool:
        return not only or any(matches(name, wanted) for wanted in only)

    entries = [entry for entry, name in zip(here, names) if chosen(name)]
    asked = [(row, key) for row, key in asked if chosen(_Name(key, required.category(row)))]
    if not entries and not asked:
        message = f"The profile '{profile.name}' selects no case: is the test provider registered? Try 'avocado hvqual register'."
        raise PlanError(message)
    _check_params(entries, params or {})
    changes: list[Change] = []
    ready = sorted(
        (_ready(entry, profile, params or {}, changes) for entry in entries), key=lambda case: _order(case.planned)
    )
    lost = [(row.phase, key) for row, key in asked if not is_answered(row, key, ready)]
    narrowed = _rows(asked)
    return Made(
        profile, tuple(only), tuple(ready), narrowed, tuple(sorted(lost, key=lambda one: one[1])), tuple(changes)
    )


def is_answered(row: RequiredRow, asked: CaseKey, ready: Sequence[Ready]) -> bool:
    """Return whether one of the cases answers the row at the place that is asked for."""
    return any(row.answered_by(case.planned.key) and case.planned.key.place == asked.place for case in ready)


def _rows(asked: Sequence[tuple[RequiredRow, CaseKey]]) -> tuple[RequiredRow, ...]:
    """Return the required rows narrowed to the asked keys."""
    places: dict[RequiredRow, list[str]] = {}
    for row, key in asked:
        places.setdefault(row, []).append(key.place)
    return tuple(replace(row, configurations=tuple(kept)) for row, kept in places.items())
