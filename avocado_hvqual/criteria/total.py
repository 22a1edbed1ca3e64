# SPDX-License-Identifier: GPL-2.0-or-later
"""The sum of the samples, and how many there are."""

from __future__ import annotations

import math

from avocado_hvqual.criteria.base import on_number

SUM = on_number("the sum", math.fsum)
COUNT = on_number("the number of samples", len)
