# SPDX-License-Identifier: GPL-2.0-or-later
"""The plan of a campaign: the cases that a profile requires, which is the denominator of "100 % attempted"."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from avocado_hvqual.model.case import CaseKey, Impact, Phase, RequiredRow


@dataclass(frozen=True)
class PlannedCase:
    """One case as its cfg stated it when the plan was made: the judge knows the case by nothing else."""

    key: CaseKey
    phase: Phase
    category: str
    impact: Impact
    components: tuple[str, ...]
    observations: tuple[str, ...]
    limits: dict[str, str]
    """Limit text by observation, for instance ``{"guest_ready": "max <= 10 s"}``."""
    timeout: float
    """Seconds."""
    maturity: str = ""
    params: dict[str, str] = field(default_factory=dict)
    """The case's hv_* parameters at its profile: with them the scale is checked against the policy."""

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> PlannedCase:
        """Return the case that a journal's `plan` line holds; ValueError or KeyError when it is none."""
        return cls(
            key=CaseKey.parse(data["key"]),
            phase=Phase(data["phase"]),
            category=str(data["category"]),
            impact=Impact(data["impact"]),
            components=tuple(data["components"]),
            observations=tuple(data["observations"]),
            limits={str(name): str(limit) for name, limit in data["limits"].items()},
            timeout=float(data["timeout"]),
            maturity=str(data.get("maturity", "")),
            params={str(name): str(value) for name, value in data.get("params", {}).items()},
        )

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` reads."""
        return {
            "key": str(self.key),
            "phase": self.phase.value,
            "category": self.category,
            "impact": self.impact.value,
            "components": list(self.components),
            "observations": list(self.observations),
            "limits": dict(self.limits),
            "timeout": self.timeout,
            "maturity": self.maturity,
            "params": dict(self.params),
        }


@dataclass(frozen=True)
class Profile:
    """The scale of a campaign, from policy/profiles/<name>.yaml: only what is selected and parameters differ, never code."""

    name: str
    title: str
    part: bool
    """A part run is judged as SELECTION."""
    lab: bool
    """A lab profile ends at best in LAB_QUALIFIED."""
    accept: tuple[str, ...]
    """The verdicts for which `run` exits with 0 unless told otherwise."""
    gate: str
    """``stop``: a closed gate ends the campaign; ``record``: it is written down and the next phase runs."""
    backends: tuple[str, ...]
    host_configurations: tuple[str, ...]
    ids: tuple[str, ...]
    params: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the mapping that the profile's YAML file holds."""
        lists = ("accept", "backends", "host_configurations", "ids")
        return {name: list(value) if name in lists else value for name, value in vars(self).items()}


@dataclass(frozen=True)
class Plan:
    """All planned cases, and the rows of the required table that the judge holds them against."""

    profile: str
    cases: tuple[PlannedCase, ...]
    required: tuple[RequiredRow, ...]

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Plan:
        """Return the plan that a journal's `plan` line holds."""
        cases = tuple(PlannedCase.from_json(case) for case in data["cases"])
        return cls(str(data["profile"]), cases, tuple(RequiredRow.from_json(row) for row in data["required"]))

    def to_json(self) -> dict[str, Any]:
        """Return the data of the journal line `plan`."""
        return {
            "profile": self.profile,
            "cases": [case.to_json() for case in self.cases],
            "required": [row.to_json() for row in self.required],
        }
