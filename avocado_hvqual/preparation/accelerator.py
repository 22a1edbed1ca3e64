# SPDX-License-Identifier: GPL-2.0-or-later
"""Under which accelerator a deep check starts its guests: the one that runs one, by the provider's own probe."""

from __future__ import annotations

from avocado_hvqual.preparation.answers import of_program
from avocado_hvqual.preparation.model import Node

_TIMEOUT_S = 60.0


def of(node: Node) -> str:
    """Return "kvm" or "tcg", "none" where no guest runs, "" when the probe could not be asked."""
    told = of_program(node.ask("accelerator", timeout=_TIMEOUT_S), "accelerator")
    return "" if told is None else str(told["accelerator"])
