# SPDX-License-Identifier: GPL-2.0-or-later
"""The sample that was seen last: the state in which something was left."""

from __future__ import annotations

from avocado_hvqual.criteria.base import on_number

LAST = on_number("the last", lambda values: values[-1])
