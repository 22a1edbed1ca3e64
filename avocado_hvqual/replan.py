# SPDX-License-Identifier: GPL-2.0-or-later
"""A plan of an earlier day made ready to run again: the journal says what is asked, the installed cfgs have to hold it still."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Optional

from avocado_hvqual import required
from avocado_hvqual.errors import PlanError
from avocado_hvqual.model.case import CaseKey
from avocado_hvqual.model.plan import Plan, PlannedCase, Profile
from avocado_hvqual.model.record import ParameterChange
from avocado_hvqual.plan import Entry, Made, Ready, is_answered

ASKED = ("phase", "category", "impact", "components", "observations", "timeout")
SHOWN = 5
"""So many differences are named; the others are counted."""
NOT_COMPARED = ("hv_profile",)


def again(
    plan: Plan, profile: Profile, cases: Mapping[CaseKey, Entry], given: Sequence[ParameterChange], *, part: bool
) -> Made:
    """
    Return the plan with the runnables of the installed cfgs, each with the parameters that the plan has.

    *given* are the parameters that differed from the profile, *part* says that it was a part run. PlanError names each case that is no
    more, and each of which the cfgs ask or owe something else now: its results would not be comparable.
    """
    differences = [said for planned in plan.cases for said in _differences(planned, cases.get(planned.key))]
    if differences:
        more = f" And {len(differences) - SHOWN} more." if len(differences) > SHOWN else ""
        message = (
            f"The installed cfgs no longer hold the campaign's plan: {' '.join(differences[:SHOWN])}{more} "
            "Install what the campaign began with, or begin a new one."
        )
        raise PlanError(message)
    ready = tuple(_ready(planned, cases[planned.key], profile, given) for planned in plan.cases)
    missing = tuple(
        (row.phase, key) for row in plan.required for key in required.keys(row) if not is_answered(row, key, ready)
    )
    return Made(replace(profile, part=part), (), ready, plan.required, missing, ())


def _differences(planned: PlannedCase, entry: Optional[Entry]) -> Iterator[str]:
    """Yield what the installed cfgs say otherwise of a case, one sentence each."""
    key = planned.key
    if entry is None:
        yield f"There is no case '{key}' any more."
        return
    now = entry.planned
    for name in ASKED:
        before, after = getattr(planned, name), getattr(now, name)
        if before != after:
            yield f"'{key}' had {name} {_words(before)} and has {_words(after)}."
    for name in sorted(planned.limits.keys() | now.limits.keys()):
        before, after = planned.limits.get(name, "none"), now.limits.get(name, "none")
        if before != after:
            yield f"'{key}' had the limit '{before}' on '{name}' and has '{after}'."
    for name in sorted(planned.params.keys() ^ now.params.keys()):
        yield f"'{key}' {'has lost' if name in planned.params else 'now has'} the parameter '{name}'."


def _words(value: Any) -> str:
    if isinstance(value, tuple):
        return f"'{' '.join(value)}'"
    return f"'{getattr(value, 'value', value)}'"


def _ready(planned: PlannedCase, entry: Entry, profile: Profile, given: Sequence[ParameterChange]) -> Ready:
    """Give a runnable what the plan says, under the profile's suffix too, which would win in the test."""
    kwargs = entry.runnable.kwargs
    kwargs["hv_profile"] = profile.name
    others = {name: value for name, value in profile.params.items() if not name.startswith("hv_")}
    others.update({one.name: one.value for one in given if one.case in {"", str(planned.key)}})
    asked = {**others, **{name: value for name, value in planned.params.items() if name not in NOT_COMPARED}}
    for name, value in asked.items():
        suffixed = f"{name}_{profile.name}"
        if kwargs.get(suffixed, kwargs.get(name)) != value:
            kwargs[name] = value
            if suffixed in kwargs:
                kwargs[suffixed] = value
    return Ready(planned, entry.runnable)
