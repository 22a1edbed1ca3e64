# SPDX-License-Identifier: GPL-2.0-or-later
"""A node's profile: its facts by name, what could not be seen, and the CPU that libvirt can give guests. A file that outlives the node."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Union

from avocado_hvqual.load import document

FORMAT = 1
Fact = Union[str, int, tuple[str, ...]]


@dataclass(frozen=True)
class Profile:
    """
    What a node is made of; *taken* is the time in seconds since 1970.

    *cpus* maps libvirt's kind of domain, kvm or qemu, to the <cpu> that its hypervisor can give a guest.
    """

    node: str
    taken: int
    facts: Mapping[str, Fact]
    unseen: Mapping[str, str]
    cpus: Mapping[str, str]

    def text(self) -> str:
        """Return the file's content (schemas/node-profile.json)."""
        whole = {
            "format": FORMAT,
            "node": self.node,
            "taken": self.taken,
            "facts": dict(sorted(self.facts.items())),
            "unseen": dict(sorted(self.unseen.items())),
            "cpus": dict(sorted(self.cpus.items())),
        }
        return json.dumps(whole, indent=1, allow_nan=False) + "\n"


def load(path: Path) -> Profile:
    """Return the profile in a file; DefinitionError with file:line when it is none."""
    data: dict[str, Any] = document(path, "node-profile").data
    facts = {name: tuple(value) if isinstance(value, list) else value for name, value in data["facts"].items()}
    return Profile(data["node"], data["taken"], facts, data["unseen"], data["cpus"])
