# SPDX-License-Identifier: GPL-2.0-or-later
"""Ask a node: each check once, read-only ones side by side; what broke or could not be seen is unknown."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from avocado_hvqual.preparation.model import Answer, Check, Defect, Looked, Node

SIDE_BY_SIDE = 4


@dataclass(frozen=True)
class Result:
    """What one check came to. *waived* defects concern a capability that this node need not have: told, not counted."""

    check: Check
    looked: Looked
    seconds: float
    waived: tuple[Defect, ...] = ()

    @property
    def answer(self) -> Answer:
        """The answer after what is not required was taken out."""
        return self.looked.answer


def ask_all(node: Node, checks: Sequence[Check]) -> list[Result]:
    """Return the results in the order of *checks*; those that touch the node run alone, after the others."""
    reading = [check for check in checks if not check.touches]
    with ThreadPoolExecutor(max_workers=SIDE_BY_SIDE) as pool:
        found = {check.name: result for check, result in zip(reading, pool.map(lambda it: ask(node, it), reading))}
    found.update({check.name: ask(node, check) for check in checks if check.touches})
    return [found[check.name] for check in checks]


def ask(node: Node, check: Check) -> Result:
    """Return what one check says of *node*; one that breaks is UNKNOWN and says how."""
    began = time.monotonic()
    try:
        seen = check.look(node)
    except Exception as error:  # noqa: BLE001 - one broken check must not keep the others from answering, nor answer "met"
        seen = Looked(Answer.UNKNOWN, (), (), f"The check itself broke: {type(error).__name__}: {error}")
    return _without(node.expected["not_required"], Result(check, seen, time.monotonic() - began))


def _without(not_required: Sequence[str], result: Result) -> Result:
    """Take out the defects of capabilities that are not required; a check left with nothing else is NOT_APPLICABLE, never MET."""
    waived = tuple(defect for defect in result.looked.defects if defect.capability in not_required)
    if not waived:
        return result
    counted = tuple(defect for defect in result.looked.defects if defect not in waived)
    reason = result.looked.reason
    if counted:
        answer = Answer.UNMET
    elif reason:
        answer = Answer.UNKNOWN
    else:
        answer = Answer.NOT_APPLICABLE
        capabilities = ", ".join(dict.fromkeys(defect.capability for defect in waived))
        reason = f"Not required on this node: {capabilities}. The rest is as expected."
    return replace(result, looked=replace(result.looked, answer=answer, defects=counted, reason=reason), waived=waived)
