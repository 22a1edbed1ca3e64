# SPDX-License-Identifier: GPL-2.0-or-later
"""The largest and the smallest sample: what a promise to each single VM means ("the slowest of N is judged")."""

from __future__ import annotations

from avocado_hvqual.criteria.base import on_number

MAX = on_number("the largest", max)
MIN = on_number("the smallest", min)
