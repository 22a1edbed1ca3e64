# SPDX-License-Identifier: GPL-2.0-or-later
"""What the instruments need of a guest: that it answers (guests.Guest), not how it came to be."""

from __future__ import annotations

from typing import Any, Protocol


class Asked(Protocol):
    """A guest that answers commands."""

    name: str

    def ask(self, command: str) -> str:
        """Return the output of *command* in the guest."""


class AskedBySpec(Asked, Protocol):
    """One whose model is known too: how many vCPUs it has is not asked of it."""

    spec: Any
