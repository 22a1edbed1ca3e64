# SPDX-License-Identifier: GPL-2.0-or-later
"""
Every case of the suite, read from the cartesian cfgs: there is no second list of use cases to keep (decision 3).

One parse a backend through avocado-vt's own options and resolver, so a case here is the very test that ``avocado run`` would run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from avocado.core.settings import settings
from avocado_vt.plugins.vt_resolver import VTDiscoverer

from avocado_hvqual.errors import DefinitionError
from avocado_hvqual.model import scaled
from avocado_hvqual.model.case import HOST_CONFIGURATIONS, CaseKey, Impact, Phase
from avocado_hvqual.model.plan import PlannedCase

VT_TYPES = ("libvirt", "qemu")
PROVIDERS = "avocado-hvqual"
"""Each provider of ours has a name that begins so; a foreign provider's test that is named hvqual is none of our business."""

LIMIT = "hv_limit_"
REQUIRED = (
    "hv_id",
    "hv_phase",
    "hv_category",
    "hv_host_config",
    "hv_impact",
    "hv_components",
    "hv_observations",
    "hv_timeout",
)
CLOSED = {
    "hv_phase": tuple(phase.value for phase in Phase),
    "hv_host_config": HOST_CONFIGURATIONS,
    "hv_impact": tuple(impact.value for impact in Impact),
}
SELECTION_SETTINGS = ("vt.config", "vt.save_config", "vt.only_filter", "vt.no_filter", "vt.extra_params")
"""Settings of a user's own avocado.conf that would silently narrow or change what the catalog holds."""


@dataclass(frozen=True)
class Entry:
    """One case of the catalog: what its cfg says of it at a profile, and the avocado runnable that runs it."""

    planned: PlannedCase
    name: str
    runnable: Any = field(compare=False, repr=False)

    @property
    def key(self) -> CaseKey:
        """The case's stable key."""
        return self.planned.key

    @property
    def limits(self) -> dict[str, str]:
        """The limits as the cfg ships them: by observation, and with a profile's suffix where that has another one."""
        return limits_of(self.runnable.kwargs)


def at_profile(params: Mapping[str, Any], profile: str) -> dict[str, str]:
    """Return the ``hv_*`` parameters as a test sees them under a profile: ``hv_x_smoke`` is ``hv_x`` under smoke."""
    ours = {name: str(value) for name, value in params.items() if name.startswith("hv_")}
    return {**scaled.at_profile(ours, profile), "hv_profile": profile}


def limits_of(params: Mapping[str, Any]) -> dict[str, str]:
    """Return the limits among a leaf's parameters, by what stands behind ``hv_limit_``."""
    return {name[len(LIMIT) :]: str(value) for name, value in params.items() if name.startswith(LIMIT)}


def _wrong(params: Mapping[str, Any]) -> list[str]:
    said = [f"'{name}' is missing" for name in REQUIRED if not str(params.get(name, "")).strip()]
    for name, allowed in CLOSED.items():
        if params.get(name) and params[name] not in allowed:
            said.append(f"'{name}' is '{params[name]}', not one of {', '.join(allowed)}")
    try:
        seconds = float(params.get("hv_timeout", 0))
    except ValueError:
        seconds = 0
    if not 0 < seconds < float("inf"):
        said.append(f"'hv_timeout' is '{params.get('hv_timeout')}', not a number of seconds above 0")
    return said


def planned(params: Mapping[str, Any], name: str, profile: str = "") -> PlannedCase:
    """
    Return the case that a leaf's parameters describe, at the given profile or else at the leaf's own.

    DefinitionError names the leaf and everything that is missing or outside its closed set.
    """
    seen = at_profile(params, profile or str(params.get("hv_profile", "lab")))
    wrong = _wrong(seen)
    try:
        axes = f":{seen['hv_axis']}" if seen.get("hv_axis") else ""
        key = CaseKey.parse(f"{params.get('vm_type')}:{seen.get('hv_id')}:{seen.get('hv_host_config')}{axes}")
    except ValueError as error:
        wrong.append(f"its key {error}")
    if wrong:
        message = f"The case '{name}' is not defined well: {'; '.join(wrong)}. Mend its cfg."
        raise DefinitionError(message)
    return PlannedCase(
        key=key,
        phase=Phase(seen["hv_phase"]),
        category=seen["hv_category"],
        impact=Impact(seen["hv_impact"]),
        components=tuple(seen["hv_components"].split()),
        observations=tuple(seen["hv_observations"].split()),
        limits=limits_of(seen),
        timeout=float(seen["hv_timeout"]),
        maturity=seen.get("hv_maturity", ""),
        params=seen,
    )


def is_ours(runnable: Any) -> bool:
    """Return whether a runnable is a case of ours: it says which use case it is, or a provider of ours brought it."""
    kwargs = getattr(runnable, "kwargs", None) or {}
    return bool(kwargs.get("hv_id")) or str(kwargs.get("provider", "")).startswith(PROVIDERS)


def _runnables(vt_type: str) -> list[Any]:
    config = settings.as_dict()
    config.update(dict.fromkeys(SELECTION_SETTINGS))
    config.update({"vt.type": vt_type, "vt.only_filter": "hvqual"})
    try:
        (resolution,) = VTDiscoverer(config).discover()
    except Exception as error:  # the cartesian parser raises a dozen unrelated classes
        message = f"The cfgs of the backend '{vt_type}' cannot be parsed: {error}. Try 'avocado hvqual register'."
        raise DefinitionError(message) from error
    return [runnable for runnable in resolution.resolutions if is_ours(runnable)]


def load(profile: str = "", vt_types: Sequence[str] = VT_TYPES) -> dict[CaseKey, Entry]:
    """
    Return all cases of the given backends by key, in no meaningful order, as they are at a profile.

    DefinitionError when a cfg cannot be parsed, a leaf is not defined well or two leaves claim one key.
    """
    cases: dict[CaseKey, Entry] = {}
    for runnable in (found for vt_type in vt_types for found in _runnables(vt_type)):
        entry = Entry(planned(runnable.kwargs, runnable.uri, profile), runnable.uri, runnable)
        if entry.key in cases:
            both = f"'{cases[entry.key].name}' and '{entry.name}'"
            message = f"Two cases have the key '{entry.key}': {both}. Give one of them an hv_axis."
            raise DefinitionError(message)
        cases[entry.key] = entry
    return cases
