# SPDX-License-Identifier: GPL-2.0-or-later
"""Under which accelerator a deep check starts its guests: the one that runs one, by the provider's own probe."""

from __future__ import annotations

import json

from avocado_hvqual.preparation.model import Node

_TIMEOUT_S = 60.0


def of(node: Node) -> str:
    """Return "kvm" or "tcg", "none" where no guest runs, "" when the probe could not be asked."""
    run = node.ask("accelerator", timeout=_TIMEOUT_S)
    try:
        return str(json.loads(run.stdout)["accelerator"])
    except (ValueError, KeyError, TypeError):
        return ""
