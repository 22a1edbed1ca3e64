# SPDX-License-Identifier: GPL-2.0-or-later
"""Every single sample on the right side: the only question that `==` can ask of several samples ("each canary held")."""

from __future__ import annotations

from avocado_hvqual.criteria.base import Criterion

ALL = Criterion("every one", lambda values: values[0], lambda limit, values: all(map(limit.holds, values)))
