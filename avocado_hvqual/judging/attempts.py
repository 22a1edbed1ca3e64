# SPDX-License-Identifier: GPL-2.0-or-later
"""
What one try of one case amounts to (decision 2): was the use case attempted, and what was seen to be wrong.

Attempted is a pass with everything that it owes, and a fail that the test itself wrote down. Everything else is not, whatever
avocado calls it. The status is never enough: each limit is asked again of the observations.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from avocado_hvqual.criteria import ask
from avocado_hvqual.errors import DefinitionError
from avocado_hvqual.judging.sighting import Sighting, evidence_of
from avocado_hvqual.limits import Limit
from avocado_hvqual.model.answer import Answer, Judgement
from avocado_hvqual.model.finding import FindingKind
from avocado_hvqual.model.observation import CaseTrace
from avocado_hvqual.model.plan import PlannedCase
from avocado_hvqual.model.record import Attempt

UNMET = (FindingKind.SLA_UNMET, FindingKind.CRITERION_UNMET)


@dataclass(frozen=True)
class Tried:
    """One attempt, judged."""

    attempt: Attempt
    attempted: bool
    failed: bool
    sightings: tuple[Sighting, ...]
    judgements: tuple[Judgement, ...] = ()
    lacking: tuple[str, ...] = ()
    """Capabilities for the lack of which the test was cancelled, as their probes said."""


def judge_attempt(attempt: Attempt, case: PlannedCase, owed: frozenset[str]) -> Tried:
    """Return what the attempt amounts to; *owed* are the observations without which there is no pass."""
    evidence, key = evidence_of(attempt), attempt.case
    if attempt.damage:
        message = f"What the test wrote cannot be believed: {attempt.damage}"
        return Tried(attempt, False, False, (Sighting(FindingKind.TAMPERED_JOURNAL, key, message, evidence),))  # noqa: FBT003
    judgements = tuple(_judgements(attempt.trace, case)) if attempt.trace else ()
    outcome = _outcome(attempt)
    seen = list(_unmet(judgements, case, evidence))
    if attempt.trace:
        seen += _problems(attempt.trace, key, seen, evidence)
    if outcome == "pass":
        seen += _owed(attempt, owed, judgements, evidence)
    elif outcome == "fail":
        seen += _failure(attempt, seen, evidence)
    else:
        seen += [Sighting(FindingKind(outcome), key, _why_not(attempt, outcome), evidence)]
    whole = {"pass": not _lacks(seen), "fail": True}.get(outcome, False)
    failed = outcome == "fail" or any(sighting.kind in UNMET for sighting in seen)
    lacking = _lacking(attempt.trace) if outcome == "cancelled" else ()
    return Tried(attempt, whole, failed, tuple(seen), judgements, lacking)


def _lacks(seen: list[Sighting]) -> bool:
    return any(
        sighting.kind in {FindingKind.PASSED_WITHOUT_OBSERVATION, FindingKind.CRITERION_UNKNOWN} for sighting in seen
    )


def _outcome(attempt: Attempt) -> str:
    """Return pass, fail, or the kind of finding that says why it is neither; what avocado and the test say must agree."""
    said, own = attempt.status, attempt.trace.status if attempt.trace else None
    if said is None:
        return "interrupted" if attempt.trace else "not-run"
    if said in {"CANCEL", "SKIP"}:
        return "cancelled"
    if said == "INTERRUPTED":
        return "interrupted"
    if said not in {"PASS", "FAIL"} or own in {"error", "cancel"}:
        return "error"
    if own is None:
        # A test that left no end is not known to have done what it says; a pass of it owes everything, a fail is a crash.
        return "pass" if said == "PASS" else "error"
    return "fail" if "fail" in {own, said.lower()} else "pass"


def _why_not(attempt: Attempt, outcome: str) -> str:
    """Return the sentence for an attempt that was none."""
    trace, reason = attempt.trace, attempt.fail_reason or (attempt.trace.message if attempt.trace else "")
    at = f" It was at the step '{trace.open_steps[-1]}'." if trace and trace.open_steps else ""
    if outcome == "not-run":
        return "The test never began: it wrote nothing, and avocado told no end of it."
    if outcome == "interrupted":
        return f"The test was interrupted before its end.{at} {reason}".strip()
    if outcome == "cancelled":
        return f"The test was not carried out ({attempt.status}): {reason or 'it gave no reason'}"
    said = (
        f"avocado says {attempt.status}, the test's own record {trace.status or 'has no end'}"
        if trace
        else attempt.status
    )
    return f"The test could not establish what it asks for ({said}): {reason or 'it gave no reason'}{at}"


def _lacking(trace: CaseTrace | None) -> tuple[str, ...]:
    return tuple(probe.name for probe in trace.capabilities if not probe.ok) if trace else ()


def _limits(trace: CaseTrace, case: PlannedCase) -> Iterator[tuple[str, str]]:
    """Yield the planned limits, then those that the test was asked besides: the verdict needs all of them met."""
    planned = dict.fromkeys(case.limits.items())
    yield from planned
    normal = {(name, _normal(text)) for name, text in planned}
    for name, text, _answer in trace.criteria:
        if (name, _normal(text)) not in normal:
            normal.add((name, _normal(text)))
            yield name, text


def _normal(text: str) -> str:
    try:
        return str(Limit.parse(text))
    except DefinitionError:
        return text


def _judgements(trace: CaseTrace, case: PlannedCase) -> Iterator[Judgement]:
    for name, text in _limits(trace, case):
        try:
            yield ask(name, Limit.parse(text), trace.by_name.get(name, ()))
        except DefinitionError as error:
            yield Judgement(name, text, Answer.UNKNOWN, f"'{name}' is not answered: {error}")


def _unmet(judgements: tuple[Judgement, ...], case: PlannedCase, evidence: tuple[str, ...]) -> Iterator[Sighting]:
    kind = FindingKind.SLA_UNMET if ".sla." in case.key.hv_id else FindingKind.CRITERION_UNMET
    for judgement in judgements:
        if judgement.answer is Answer.UNMET:
            yield Sighting(kind, str(case.key), judgement.sentence, evidence, judgement.observation)


def _problems(trace: CaseTrace, key: str, unmet: list[Sighting], evidence: tuple[str, ...]) -> Iterator[Sighting]:
    """Yield what the test itself wrote down, but for limits that the judge found unmet too, and leftovers that stand twice."""
    told = {sighting.observation for sighting in unmet}
    for problem in trace.problems:
        kind = FindingKind(problem.what)
        if kind in UNMET and any(f"'{name}'" in problem.message for name in told):
            continue
        yield Sighting(kind, key, problem.message, evidence)
    left = trace.differences or (("its state's digest changed",) if _changed(trace) else ())
    if left and not any(problem.what == FindingKind.LEFTOVER.value for problem in trace.problems):
        yield Sighting(FindingKind.LEFTOVER, key, f"The case left the node changed: {'; '.join(left)}", evidence)


def _changed(trace: CaseTrace) -> bool:
    return (
        trace.digest_before is not None and trace.digest_after is not None and trace.digest_before != trace.digest_after
    )


def _owed(
    attempt: Attempt, owed: frozenset[str], judgements: tuple[Judgement, ...], evidence: tuple[str, ...]
) -> Iterator[Sighting]:
    """Yield what a pass lacks: an end, an owed observation, an answer, the proof that the node is as it was."""
    trace, kind = attempt.trace, FindingKind.PASSED_WITHOUT_OBSERVATION
    if trace is None:
        yield Sighting(kind, attempt.case, "The test passed, and wrote nothing of what it saw.", evidence)
        return
    seen = trace.by_name.keys()
    missing = sorted(owed - seen)
    if missing:
        yield Sighting(kind, attempt.case, f"The test passed without having seen: {', '.join(missing)}.", evidence)
    if trace.status is None:
        yield Sighting(kind, attempt.case, "The test passed, and its own record has no end.", evidence)
    if trace.digest_before is None or trace.digest_after is None:
        yield Sighting(
            kind, attempt.case, "The test passed without having compared the node's state before and after.", evidence
        )
    for judgement in judgements:
        if judgement.answer is Answer.UNKNOWN and judgement.observation not in missing:
            message = judgement.sentence
            yield Sighting(FindingKind.CRITERION_UNKNOWN, attempt.case, message, evidence, judgement.observation)


def _failure(attempt: Attempt, seen: list[Sighting], evidence: tuple[str, ...]) -> Iterator[Sighting]:
    """Yield the failure itself, unless what is known already is what it says."""
    trace = attempt.trace
    message = attempt.fail_reason or (trace.message if trace else "")
    if trace is not None and not attempt.fail_reason.strip():
        message = trace.message
    known = [sighting.message for sighting in seen] + list(trace.differences if trace else ())
    names = [f"'{sighting.observation}'" for sighting in seen if sighting.kind in UNMET]
    if not any(part and part in message for part in known + names):
        said = message or "The test failed and gave no reason."
        yield Sighting(FindingKind.WRONG_RESULT, attempt.case, said, evidence)
