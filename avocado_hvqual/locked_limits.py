# SPDX-License-Identifier: GPL-2.0-or-later
"""The limits of a case held against those with which it ships: one that is gone from its cfg, or weaker, asks less (decisions 1, 3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, Optional

from avocado_hvqual.errors import DefinitionError
from avocado_hvqual.limits import Limit
from avocado_hvqual.model.case import CaseKey, RequiredRow
from avocado_hvqual.model.plan import PlannedCase
from avocado_hvqual.model.scaled import at_profile


class Weaker(NamedTuple):
    """A limit that a case was asked less by than it ships with."""

    key: CaseKey
    observation: str
    sentence: str


class Locked:
    """The limits of the required table at a profile."""

    def __init__(self, rows: Iterable[RequiredRow], profile: str) -> None:
        self._rows: dict[str, list[tuple[RequiredRow, Mapping[str, str]]]] = {}
        for row in dict.fromkeys(rows):
            if row.limits:
                self._rows.setdefault(row.id, []).append((row, at_profile(dict(row.limits), profile)))

    def weaker(self, case: PlannedCase) -> Iterable[Weaker]:
        """Return each limit of a case that is weaker than the one with which it ships, or gone; one that is as strong is none."""
        return dict.fromkeys(self._weaker(case))

    def _weaker(self, case: PlannedCase) -> Iterator[Weaker]:
        for row, limits in self._rows.get(case.key.hv_id, []):
            if row.answered_by(case.key):
                for name, shipped in limits.items():
                    asked = case.limits.get(name)
                    if not _as_strong(asked, shipped):
                        told = "nothing" if asked is None else f"'{asked}'"
                        yield Weaker(case.key, name, f"'{name}' was asked {told}; the case ships with '{shipped}'.")


def _as_strong(asked: Optional[str], shipped: str) -> bool:
    if asked is None or asked == shipped:
        return asked is not None
    try:
        return Limit.parse(asked).implies(Limit.parse(shipped))
    except DefinitionError:
        return False
