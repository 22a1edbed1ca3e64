# SPDX-License-Identifier: GPL-2.0-or-later
"""
The markers that say in the kernel log itself when a case began and ended: ``hvqual: begin|end <case key> <token>``.

What a case does to the node on purpose is told beforehand: ``hvqual: announce <what> <token>`` (see `restarts`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Optional

from avocado_hvqual.health import kmsg

EXPRESSION = re.compile(r"^hvqual: (begin|end|watch|announce) (\S+) (\S+)$")


@dataclass(frozen=True)
class Marker:
    """One marker: what it marks, the case key (the campaign's id for ``watch``) and a token new for each run of a case."""

    what: str
    subject: str
    token: str

    def __str__(self) -> str:
        return f"hvqual: {self.what} {self.subject} {self.token}"


def of(record: kmsg.Record) -> Optional[Marker]:
    """Return the marker that the record holds, None for any other line."""
    match = EXPRESSION.match(record.text)
    return Marker(*match.groups()) if match else None
