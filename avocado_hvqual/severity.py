# SPDX-License-Identifier: GPL-2.0-or-later
"""
How bad a finding is: the first matching row of an ordered table (decision 4).

`SeverityTable` refuses, when it is made, a row of which any kind that it names can never match because earlier rows, alone or together,
take all of it; a row that contradicts an earlier one (same conditions, other severity); and a table whose last row is not the catch-all
"unclassified" of severity major.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Optional

from avocado_hvqual.errors import DefinitionError
from avocado_hvqual.model.case import Phase
from avocado_hvqual.model.finding import FindingKind, Severity

UNCLASSIFIED = "unclassified"
PHASES = tuple(phase.value for phase in Phase)


@dataclass(frozen=True)
class Subject:
    """What a rule may ask of a finding."""

    kind: FindingKind
    case: str = ""
    category: str = ""
    phase: str = ""
    observation: str = ""
    message: str = ""
    components: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rule:
    """One row; an empty condition matches everything. `where` is file:line, for messages."""

    id: str
    severity: Severity
    kinds: frozenset[FindingKind] = frozenset()
    phase: str = ""
    category: str = ""
    id_pattern: str = ""
    """Shell pattern on the use case's id (the second part of the case key)."""
    observation: str = ""
    component: str = ""
    message: str = ""
    """Regular expression, searched in the message."""
    where: str = ""

    def matches(self, subject: Subject) -> bool:
        """Whether every condition of this row holds."""
        return (
            (not self.kinds or subject.kind in self.kinds)
            and self.phase in {"", subject.phase}
            and self.category in {"", subject.category}
            and self.observation in {"", subject.observation}
            and (not self.component or self.component in subject.components)
            and (not self.id_pattern or fnmatchcase(_use_case(subject.case), self.id_pattern))
            and (not self.message or re.search(self.message, subject.message) is not None)
        )

    @property
    def conditions(self) -> tuple[str, ...]:
        """Every condition but the kinds, in a fixed order."""
        return (self.phase, self.category, self.id_pattern, self.observation, self.component, self.message)

    def takes(self, kind: FindingKind, phase: str, other: Rule) -> bool:
        """Whether this row matches whatever of that kind and phase the other row asks for."""
        return (
            (not self.kinds or kind in self.kinds)
            and self.phase in {"", phase}
            and self.category in {"", other.category, _category(other.id_pattern)}
            and (not self.id_pattern or any(_within(ids, self.id_pattern) for ids in other.ids))
            and self.observation in {"", other.observation}
            and self.component in {"", other.component}
            and self.message in {"", other.message}
        )

    @property
    def ids(self) -> tuple[str, ...]:
        """The patterns within each of which the use cases of this row lie; none where it also asks for what has no use case."""
        category = f"hvqual.{self.category}.*" if self.category else ""
        return tuple(filter(None, (self.id_pattern, category, "hvqual.*" if self.phase or self._of_a_case else "")))

    @property
    def _of_a_case(self) -> bool:
        # A use case that the plan does not know has no phase and no category: no row is kept for that alone.
        return bool(self.category or self.observation or self.component or self.id_pattern)

    @property
    def phases(self) -> tuple[str, ...]:
        """The phases that a finding of this row can have; what befell the campaign as a whole has none, and no case's facts."""
        if self.phase:
            return (self.phase,)
        return PHASES if self._of_a_case else (*PHASES, "")


def _category(id_pattern: str) -> str:
    """Return the category that every use case of a pattern has; empty when they may differ."""
    parts = id_pattern.split(".")
    return parts[1] if len(parts) > 2 and parts[0] == "hvqual" and not set(parts[1]) & set("*?[") else ""  # noqa: PLR2004


def _within(narrow: str, wide: str) -> bool:
    """Whether every use case of the first pattern is one of the second; only a pattern of plain text and ``*`` is known to be wide."""
    return narrow == wide or (not set(wide) & set("?[") and fnmatchcase(narrow, wide))


def _use_case(case: str) -> str:
    return case.split(":")[1] if case.count(":") else case


@dataclass(frozen=True)
class SeverityTable:
    """The ordered rows; DefinitionError when they do not make a table."""

    rules: tuple[Rule, ...]

    def __post_init__(self) -> None:
        last = self.rules[-1] if self.rules else None
        if (
            last is None
            or last.kinds
            or any(last.conditions)
            or last.id != UNCLASSIFIED
            or last.severity is not Severity.MAJOR
        ):
            where = last.where if last else "the severity table"
            message = f"{where}: the last row has to be '{UNCLASSIFIED}', without conditions, severity major, so that nothing is left over."
            raise DefinitionError(message)
        for place, rule in enumerate(self.rules):
            self._refuse_repeated(rule, self.rules[:place])
            self._refuse_unreachable(rule, self.rules[:place])

    @staticmethod
    def _refuse_repeated(rule: Rule, earlier: tuple[Rule, ...]) -> None:
        for other in earlier:
            if other.id == rule.id:
                message = f"{rule.where}: the row '{rule.id}' has the id of an earlier row ({other.where}). Give it one of its own."
                raise DefinitionError(message)
            if (
                other.conditions == rule.conditions
                and other.kinds == rule.kinds
                and other.severity is not rule.severity
            ):
                message = (
                    f"{rule.where}: the row '{rule.id}' says {rule.severity.value} where '{other.id}' says "
                    f"{other.severity.value} for the same conditions ({other.where}). Keep one of them."
                )
                raise DefinitionError(message)

    @staticmethod
    def _refuse_unreachable(rule: Rule, earlier: tuple[Rule, ...]) -> None:
        """Refuse a row that never matches, or that names a kind in vain: in each phase some earlier row takes all that it asks for."""
        dead = {
            kind
            for kind in rule.kinds or FindingKind
            if all(any(other.takes(kind, phase, rule) for other in earlier) for phase in rule.phases)
        }
        if rule.id == UNCLASSIFIED or not dead:
            return
        if dead >= (rule.kinds or set(FindingKind)):
            message = f"{rule.where}: the row '{rule.id}' can never match: earlier rows take all that it asks for. Move it up."
            raise DefinitionError(message)
        if rule.kinds:
            names = ", ".join(sorted(kind.value for kind in dead))
            message = f"{rule.where}: the row '{rule.id}' names {names} in vain: earlier rows take all of it. Move it up, or leave it out."
            raise DefinitionError(message)

    def of(self, subject: Subject) -> tuple[Severity, str]:
        """Return the severity and the id of the row that decided."""
        found: Optional[Rule] = next((rule for rule in self.rules if rule.matches(subject)), None)
        if found is None:  # the last row has no condition
            raise AssertionError(subject)
        return found.severity, found.id
