# SPDX-License-Identifier: GPL-2.0-or-later
"""The exit criteria of the requirement's sections 6.2, 6.3 and 7 (ids ``hvqual.gate.*``), each with its answer and its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from avocado_hvqual.model.answer import Answer
from avocado_hvqual.model.finding import NOT_ATTEMPTED, Finding, Severity
from avocado_hvqual.model.qualification import GateAnswer
from avocado_hvqual.model.record import Gate
from avocado_hvqual.severity import UNCLASSIFIED
from avocado_hvqual.wording import agreeing, counted, share

CLOUD = "cloud"


class Count(NamedTuple):
    """How many cases of a part of the campaign are required, and how many of them were attempted."""

    required: int
    attempted: int


class Standing(NamedTuple):
    """What the gates are asked about."""

    findings: tuple[Finding, ...]
    before_cloud: Count
    cloud: Count
    cloud_tried: bool
    phase_gates: tuple[Gate, ...]
    selection: bool


def _answer(*, good: bool) -> Answer:
    return Answer.MET if good else Answer.UNMET


def _all_attempted(identifier: str, what: str, count: Count) -> GateAnswer:
    if not count.required:
        return GateAnswer(identifier, Answer.UNKNOWN, f"No {what} case is required, so none can have been attempted.")
    was = agreeing(count.attempted, "was", "were", of=count.required)
    sentence = f"{share(count.attempted, count.required, f'{what} case')} {was} attempted."
    return GateAnswer(identifier, _answer(good=count.attempted == count.required), sentence)


def _nothing(identifier: str, what: str, where: str, found: Sequence[Finding]) -> GateAnswer:
    number = len(found)
    sentence = (
        f"{counted(number, what)} {agreeing(number, 'is', 'are')} {where}." if number else f"No {what} is {where}."
    )
    return GateAnswer(identifier, _answer(good=not found), sentence)


def gate_answers(standing: Standing) -> tuple[GateAnswer, ...]:
    """Return all eight answers; of a part run each is unknown, for nobody asked for the whole."""
    still_open = [finding for finding in standing.findings if finding.is_open]
    untargeted = [f for f in still_open if f.severity is Severity.MINOR and not f.fix_target]
    in_cloud = [finding for finding in still_open if finding.phase == CLOUD]
    unclassified = [finding for finding in standing.findings if finding.rule == UNCLASSIFIED]
    without_bug = [finding for finding in still_open if not finding.bug and finding.kind not in NOT_ATTEMPTED]
    answers = (
        _all_attempted("hvqual.gate.attempted_hv", "preparation and hypervisor", standing.before_cloud),
        no_critical_major(standing),
        _nothing("hvqual.gate.minor_target", "minor finding", "open without a fix target", untargeted),
        _all_attempted("hvqual.gate.attempted_cloud", "cloud", standing.cloud),
        _nothing("hvqual.gate.cloud_none_pending", "finding", "open in the cloud phase", in_cloud),
        phase_order(standing),
        _nothing("hvqual.gate.severity", "finding", "unknown to every row of the severity table", unclassified),
        _nothing("hvqual.gate.bug_report", "finding", "open without a bug", without_bug),
    )
    if not standing.selection:
        return answers
    said = "This is a part run: "
    return tuple(GateAnswer(one.id, Answer.UNKNOWN, said + one.sentence) for one in answers)


def no_critical_major(standing: Standing) -> GateAnswer:
    """
    Return whether something critical or major is open before the cloud phase.

    What was not attempted shows nothing (decision 2): it is no such finding, and does not let anybody say that there is none.
    """
    identifier, count = "hvqual.gate.no_critical_major", standing.before_cloud
    earlier = [finding for finding in standing.findings if finding.phase != CLOUD]
    unseen = any(finding.kind in NOT_ATTEMPTED for finding in earlier)
    severe = [
        finding
        for finding in earlier
        if finding.is_open and finding.severity is not Severity.MINOR and finding.kind not in NOT_ATTEMPTED
    ]
    whole = _nothing(identifier, "critical or major finding", "open before the cloud phase", severe)
    if severe or (0 < count.required == count.attempted and not unseen):
        return whole
    sentence = (
        f"{whole.sentence[:-1]}, but not all before it was attempted as required, so nobody can say that there is none."
    )
    return GateAnswer(identifier, Answer.UNKNOWN, sentence)


def phase_order(standing: Standing) -> GateAnswer:
    """Return whether the cloud phase began only when it might: everything before it attempted and nothing critical open."""
    identifier = "hvqual.gate.phase_order"
    if not standing.cloud_tried:
        return GateAnswer(identifier, Answer.MET, "The cloud phase did not begin.")
    last = next((gate for gate in reversed(standing.phase_gates) if gate.phase == CLOUD), None)
    critical = [f for f in standing.findings if f.is_open and f.phase != CLOUD and f.severity is Severity.CRITICAL]
    count = standing.before_cloud
    if last is not None and not last.passed:
        said = f"The cloud phase began although its gate was closed: {last.reason}"
        return GateAnswer(identifier, Answer.UNMET, f"{said} {overridden(last)}".strip())
    if critical or count.attempted < count.required:
        sentence = (
            f"The cloud phase began with {counted(len(critical), 'critical finding')} open and "
            f"{share(count.attempted, count.required, 'case')} before it attempted."
        )
        return GateAnswer(identifier, Answer.UNMET, sentence)
    return GateAnswer(identifier, Answer.MET, "The cloud phase began when everything before it allowed it.")


def overridden(gate: Gate) -> str:
    """Return the sentence on a gate that the operator overrode; empty when nobody did."""
    return f"The operator overrode the gate to the phase '{gate.phase}': {gate.override}" if gate.override else ""


def order_broken(standing: Standing) -> tuple[str, ...]:
    """Return what says that a phase began although its gate was closed: such a campaign is capped. A part run asks no gate."""
    if standing.selection:
        return ()
    said = [overridden(gate) for gate in standing.phase_gates if gate.override]
    order = phase_order(standing)
    if order.answer is not Answer.MET and not any(one in order.sentence for one in said):
        said.insert(0, order.sentence)
    return tuple(dict.fromkeys(said))
