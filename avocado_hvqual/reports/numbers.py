# SPDX-License-Identifier: GPL-2.0-or-later
"""Samples as numbers."""

from __future__ import annotations

import math
from typing import Optional

from avocado_hvqual.model.observation import Observation


def number_of(sample: Observation) -> Optional[float]:
    """Return a sample as a finite number, or None."""
    if type(sample.value) is float:
        return sample.value if math.isfinite(sample.value) else None
    if isinstance(sample.value, str):
        return None
    try:
        value = float(sample.value)
    except OverflowError:
        return None
    return value if math.isfinite(value) else None
