# SPDX-License-Identifier: GPL-2.0-or-later
"""
Every case of the suite, read from the cartesian cfgs: there is no second list of use cases to keep (decision 3).

One parse a backend through avocado-vt's own options and resolver, so a case here is the very test that ``avocado run`` would run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from avocado.core.settings import settings
from avocado_vt.plugins.vt_resolver import VTDiscoverer

from avocado_hvqual.errors import DefinitionError

VT_TYPES = ("libvirt", "qemu")
PROVIDERS = "avocado-hvqual"
"""Each provider of ours has a name that begins so; a foreign provider's test that is named hvqual is none of our business."""

PHASES = ("preparation", "hypervisor", "cloud")
HOST_CONFIGURATIONS = ("none", "single_big", "n_equal", "patterns")
IMPACTS = ("none", "guest", "host", "storage", "network")
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

SELECTION_SETTINGS = ("vt.config", "vt.save_config", "vt.only_filter", "vt.no_filter", "vt.extra_params")
"""Settings of a user's own avocado.conf that would silently narrow or change what the catalog holds."""


@dataclass(frozen=True)
class Entry:
    """One case of the catalog: its stable key, what its cfg says of it, and the avocado runnable that runs it."""

    key: str
    vt_type: str
    id: str
    category: str
    phase: str
    host_configuration: str
    impact: str
    maturity: str
    components: tuple[str, ...]
    observations: tuple[str, ...]
    timeout: float
    name: str
    params: Mapping[str, str]
    runnable: Any = field(compare=False, repr=False)

    @property
    def limits(self) -> dict[str, str]:
        """The shipped limit of each observation, as its cfg says it."""
        return {name[len("hv_limit_") :]: value for name, value in self.params.items() if name.startswith("hv_limit_")}


def case_key(vt_type: str, params: Mapping[str, Any]) -> str:
    """Return the stable key ``<vt_type>:<hv_id>:<host configuration>[:<axis>=<value>]`` of a leaf's parameters."""
    axes = [str(params["hv_axis"])] if params.get("hv_axis") else []
    return ":".join([vt_type, str(params["hv_id"]), str(params.get("hv_host_config", "none")), *axes])


def entry_of(runnable: Any, vt_type: Optional[str] = None) -> Entry:
    """
    Return the case that an avocado runnable holds; its kwargs are the cartesian parameters.

    DefinitionError names the leaf and everything that is missing or outside its closed set.
    """
    params = runnable.kwargs
    wrong = [f"'{name}' is missing" for name in REQUIRED if not str(params.get(name, "")).strip()]
    for name, allowed in (("hv_phase", PHASES), ("hv_host_config", HOST_CONFIGURATIONS), ("hv_impact", IMPACTS)):
        if params.get(name) and params[name] not in allowed:
            wrong.append(f"'{name}' is '{params[name]}', not one of {', '.join(allowed)}")
    try:
        timeout = float(params.get("hv_timeout", 0))
    except ValueError:
        timeout = 0
    if timeout <= 0:
        wrong.append(f"'hv_timeout' is '{params.get('hv_timeout')}', not a number of seconds above 0")
    if wrong:
        message = f"The case '{runnable.uri}' is not defined well: {'; '.join(wrong)}. Mend its cfg."
        raise DefinitionError(message)
    return Entry(
        key=case_key(vt_type or str(params.get("vm_type", "")), params),
        vt_type=vt_type or str(params.get("vm_type", "")),
        id=params["hv_id"],
        category=params["hv_category"],
        phase=params["hv_phase"],
        host_configuration=params["hv_host_config"],
        impact=params["hv_impact"],
        maturity=params.get("hv_maturity", ""),
        components=tuple(params["hv_components"].split()),
        observations=tuple(params["hv_observations"].split()),
        timeout=timeout,
        name=runnable.uri,
        params={name: str(value) for name, value in params.items() if name.startswith("hv_")},
        runnable=runnable,
    )


def is_ours(runnable: Any) -> bool:
    """Return whether a runnable is a case of ours: it says which use case it is, or our provider brought it."""
    kwargs = getattr(runnable, "kwargs", None) or {}
    return bool(kwargs.get("hv_id")) or str(kwargs.get("provider", "")).startswith(PROVIDERS)


def _runnables(vt_type: str, extra_params: Sequence[str]) -> list[Any]:
    config = settings.as_dict()
    config.update(dict.fromkeys(SELECTION_SETTINGS))
    config.update({"vt.type": vt_type, "vt.only_filter": "hvqual", "vt.extra_params": list(extra_params) or None})
    try:
        (resolution,) = VTDiscoverer(config).discover()
    except Exception as error:  # the cartesian parser raises a dozen unrelated classes
        message = f"The cfgs of the backend '{vt_type}' cannot be parsed: {error}. Run 'avocado hvqual register' and try again."
        raise DefinitionError(message) from error
    return [runnable for runnable in resolution.resolutions if is_ours(runnable)]


def load(vt_types: Sequence[str] = VT_TYPES, extra_params: Sequence[str] = ()) -> dict[str, Entry]:
    """
    Return all cases of the given backends by key, in no meaningful order.

    ``extra_params`` are ``name=value`` pairs given to every case, as avocado's --vt-extra-params. DefinitionError when a cfg
    cannot be parsed, a leaf is not defined well or two leaves claim one key.
    """
    cases: dict[str, Entry] = {}
    for vt_type in vt_types:
        for runnable in _runnables(vt_type, extra_params):
            entry = entry_of(runnable, vt_type)
            if entry.key in cases:
                message = f"Two cases have the key '{entry.key}': '{cases[entry.key].name}' and '{entry.name}'. Give one of them an hv_axis."
                raise DefinitionError(message)
            cases[entry.key] = entry
    return cases
