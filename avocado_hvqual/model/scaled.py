# SPDX-License-Identifier: GPL-2.0-or-later
"""Values that differ by profile: beside ``x`` a cfg may hold ``x_smoke``, which is ``x`` under smoke (decision 14)."""

from __future__ import annotations

from collections.abc import Mapping

PROFILES = ("smoke", "lab", "nightly", "production")


def at_profile(values: Mapping[str, str], profile: str) -> dict[str, str]:
    """
    Return the values as they are under a profile.

    >>> at_profile({"rounds": "3", "rounds_production": "1000"}, "production")
    {'rounds': '1000'}
    """
    seen = {}
    for name, value in values.items():
        base, _, suffix = name.rpartition("_")
        if not (suffix in PROFILES and base in values):
            seen[name] = values.get(f"{name}_{profile}", value)
    return seen
