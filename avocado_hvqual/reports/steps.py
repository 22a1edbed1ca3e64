# SPDX-License-Identifier: GPL-2.0-or-later
"""The last steps to a verdict, one sentence each: the counts, the gates, what the findings allow, and where it was run."""

from __future__ import annotations

from collections.abc import Iterator

from avocado_hvqual.model.qualification import Qualification
from avocado_hvqual.model.verdict import QUALIFYING, Verdict, basis, best_with, worst
from avocado_hvqual.wording import agreeing, counted, share


def steps(qualification: Qualification) -> Iterator[str]:
    """Yield the steps in their order; the last one is the verdict itself."""
    it = qualification
    complete = basis((), it.required, it.attempted)
    was = agreeing(it.attempted, "was", "were", of=it.required)
    yield f"{share(it.attempted, it.required, 'required case')} {was} attempted, which allows at best {complete.value}."
    for gate in it.phase_gates:
        overridden = f" It was overridden: {gate.override}" if gate.override else ""
        yield f"The gate to the phase '{gate.phase}' was {'open' if gate.passed else 'closed'}: {gate.reason}{overridden}"
    allowed = [best_with(finding) for finding in it.findings]
    for verdict in sorted(set(allowed), key=lambda one: one.rank, reverse=True):
        number = allowed.count(verdict)
        yield f"{counted(number, 'finding')} {agreeing(number, 'allows', 'allow')} at best {verdict.value}."
    so_far = worst([complete, *allowed])
    if so_far is not it.basis:
        yield f"A phase that began although its gate was closed, or a result that is stale, allows at best {it.basis.value}."
    yield f"The worst of these is {it.basis.value}, by policy {it.policy} as of {it.today}."
    yield _folded(it)


def _folded(it: Qualification) -> str:
    if it.verdict is Verdict.SELECTION:
        return f"It was a part run, so the verdict is {it.verdict.value}."
    if it.verdict is Verdict.LAB_QUALIFIED and it.basis in QUALIFYING:
        return f"It was a lab profile, so the verdict is {it.verdict.value}."
    return f"The verdict is {it.verdict.value}."
