# SPDX-License-Identifier: GPL-2.0-or-later
"""How long each case took on this host before: what an ETA is made of."""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Optional

from avocado_hvqual.campaign.folder import home

FILE = "durations.json"
KEPT = 5
"""So many latest durations of a case are kept; their median is not moved by one slow night."""

DEFAULT_SECONDS = 15.0
"""What a case that never ran is taken for: a boot to ready of a micro guest without KVM and what avocado-vt needs around it."""


class Durations:
    """Measured seconds by (profile, case key). A file that cannot be read counts as empty: an ETA is never worth a failure."""

    def __init__(self, path: Optional[Path] = None) -> None:
        self.path = path or home() / FILE
        self._seconds: dict[str, list[float]] = {}
        try:
            loaded = json.loads(self.path.read_text(encoding="utf-8"))
            self._seconds = {str(name): [float(value) for value in values] for name, values in loaded.items()}
        except (OSError, ValueError, AttributeError, TypeError):
            self._seconds = {}

    def expected(self, profile: str, key: str) -> float:
        """Return the seconds that a case is expected to take."""
        known = self._seconds.get(f"{profile} {key}")
        return statistics.median(known) if known else DEFAULT_SECONDS

    def known(self, profile: str, key: str) -> bool:
        """Return whether the expectation was measured, not assumed."""
        return f"{profile} {key}" in self._seconds

    def add(self, profile: str, measured: Mapping[str, float]) -> None:
        """Remember what the cases of a run took; a file that cannot be written is left as it was."""
        for key, seconds in measured.items():
            kept = self._seconds.setdefault(f"{profile} {key}", [])
            kept.append(round(seconds, 2))
            del kept[:-KEPT]
        draft = self.path.with_name(f".{FILE}.{os.getpid()}")
        try:
            draft.write_text(json.dumps(self._seconds, indent=1, sort_keys=True), encoding="utf-8")
            draft.replace(self.path)
        except OSError:
            draft.unlink(missing_ok=True)
