# SPDX-License-Identifier: GPL-2.0-or-later
"""What a word of a report means: a kind of finding, a severity, a verdict, a use case of the required table."""

from __future__ import annotations

import difflib

from avocado_hvqual.errors import DefinitionError
from avocado_hvqual.judging.advice import ADVICE
from avocado_hvqual.model.finding import NOT_ATTEMPTED, UNWAIVABLE, FindingKind, Severity
from avocado_hvqual.model.verdict import Verdict
from avocado_hvqual.policy_model import Policy
from avocado_hvqual.reports.words import MEANINGS
from avocado_hvqual.severity import Subject


def explain(word: str, policy: Policy) -> str:
    """Return what *word* means, by the given policy; DefinitionError with the nearest words when it is none."""
    known: dict[str, list[str]] = {kind.value: _kind(kind, policy) for kind in FindingKind}
    known.update({verdict.value: [MEANINGS[verdict]] for verdict in Verdict})
    known.update({severity.value: _severity(severity, policy) for severity in Severity})
    for row in policy.required:
        known.setdefault(row.id, []).extend(
            f"{row.vt_type or 'either backend'}, {row.phase.value}, under {place}: owes {', '.join(row.observations)}."
            for place in row.configurations
        )
    if word not in known:
        near = difflib.get_close_matches(word, known, n=3)
        hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
        message = f"'{word}' is no kind of finding, severity, verdict or required use case.{hint}"
        raise DefinitionError(message)
    return "\n".join([f"{word}:", *(f"  {line}" for line in known[word])]) + "\n"


def _kind(kind: FindingKind, policy: Policy) -> list[str]:
    said = []
    for phase in ("hypervisor", "cloud"):
        severity, rule = policy.severities.of(Subject(kind, phase=phase))
        said.append(f"In the {phase} phase: {severity.value} (row '{rule}').")
    if kind in NOT_ATTEMPTED:
        said.append("Its case does not count as attempted: the verdict is INCOMPLETE, whatever the ledger says.")
    if kind in UNWAIVABLE:
        said.append("It cannot be waived.")
    return [*said, f"What next: {ADVICE[kind]}"]


def _severity(severity: Severity, policy: Policy) -> list[str]:
    rules = [rule for rule in policy.severities.rules if rule.severity is severity]
    return [f"Row '{rule.id}': {', '.join(sorted(kind.value for kind in rule.kinds)) or 'any kind'}." for rule in rules]
