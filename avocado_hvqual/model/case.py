# SPDX-License-Identifier: GPL-2.0-or-later
"""Cases by their stable key, and the rows of the table that says which of them a qualification needs (decision 3)."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import Any

_PART = re.compile(r"[A-Za-z0-9_.-]+\Z")
_AXIS = re.compile(r"[A-Za-z0-9_.-]+=[A-Za-z0-9_.,+-]+\Z")
HOST_CONFIGURATIONS = ("none", "single_big", "n_equal", "patterns")


class Phase(enum.Enum):
    """The phases of a campaign, in their order; between two of them stands a gate."""

    PREPARATION = "preparation"
    HYPERVISOR = "hypervisor"
    CLOUD = "cloud"


class Impact(enum.Enum):
    """What a case may touch beside its own guests (decision 7)."""

    NONE = "none"
    GUEST = "guest"
    HOST = "host"
    STORAGE = "storage"
    NETWORK = "network"


@dataclass(frozen=True, order=True)
class CaseKey:
    """``<vt_type>:<hv_id>:<host configuration>[:<axis>=<value>...]``: one case, the same over runs, nodes and years."""

    vt_type: str
    hv_id: str
    configuration: str
    axes: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> CaseKey:
        """Return the key that *text* states; ValueError says what is wrong with it."""
        parts = text.split(":")
        plain, axes = parts[:3], tuple(parts[3:])
        if len(plain) < 3 or not all(map(_PART.match, plain)) or not all(map(_AXIS.match, axes)):  # noqa: PLR2004
            message = f"'{text}' is not '<vt_type>:<id>:<host configuration>[:<axis>=<value>]'"
            raise ValueError(message)
        if plain[2] not in HOST_CONFIGURATIONS:
            message = f"'{text}' names the host configuration '{plain[2]}', none of {', '.join(HOST_CONFIGURATIONS)}"
            raise ValueError(message)
        return cls(plain[0], plain[1], plain[2], axes)

    def __str__(self) -> str:
        return f"{self.vt_type}:{self.hv_id}:{self.place}"

    @property
    def place(self) -> str:
        """The host configuration with the case's own axes, as the required table writes it."""
        return ":".join([self.configuration, *self.axes])


@dataclass(frozen=True)
class RequiredRow:
    """
    One use case that a qualification needs: under which configurations, with which observations, by which components.

    `configurations` hold a host configuration each, with the case's own axes when it has some (``single_big:cache=none``).
    Without `vt_type` a case of either backend will do; with it that backend's is needed.
    """

    id: str
    configurations: tuple[str, ...]
    observations: tuple[str, ...]
    components: tuple[str, ...]
    phase: Phase
    vt_type: str = ""
    limits: tuple[tuple[str, str], ...] = ()
    """The limits with which its cases ship, in order: (observation, limit), with a profile's suffix where that has another one."""

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> RequiredRow:
        """Return the row that a lock file or a journal holds (their schemas have been checked before)."""
        return cls(
            str(data["id"]),
            tuple(data["configurations"]),
            tuple(data["observations"]),
            tuple(data["components"]),
            Phase(data["phase"]),
            str(data.get("vt_type", "")),
            tuple(sorted((str(name), str(limit)) for name, limit in data.get("limits", {}).items())),
        )

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` reads."""
        row: dict[str, Any] = {
            "id": self.id,
            "configurations": list(self.configurations),
            "observations": list(self.observations),
            "components": list(self.components),
            "phase": self.phase.value,
        }
        if self.vt_type:
            row["vt_type"] = self.vt_type
        return {**row, "limits": dict(self.limits)} if self.observations else row

    def answered_by(self, key: CaseKey) -> bool:
        """Whether the case *key* is one of those that this row asks for."""
        return key.hv_id == self.id and key.place in self.configurations and self.vt_type in {"", key.vt_type}
