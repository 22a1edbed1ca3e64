# SPDX-License-Identifier: GPL-2.0-or-later
"""What is wrong with a campaign beside its cases: the node's health, what is missing, what was asked too little, the journal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from avocado_hvqual.errors import DefinitionError
from avocado_hvqual.judging.cases import JudgedCase
from avocado_hvqual.judging.sighting import Sighting
from avocado_hvqual.limits import Limit
from avocado_hvqual.locked_limits import Locked
from avocado_hvqual.model.case import RequiredRow
from avocado_hvqual.model.finding import FindingKind
from avocado_hvqual.model.plan import PlannedCase
from avocado_hvqual.model.record import CampaignRecord
from avocado_hvqual.policy_model import LimitFloor, Policy, ScaleFloor

JOURNAL = "journal.jsonl"


def missing_rows(rows: Sequence[RequiredRow], planned: Sequence[PlannedCase]) -> list[tuple[RequiredRow, str]]:
    """Return each required row and configuration for which no case was planned."""
    have = {(case.key.hv_id, case.key.place, case.key.vt_type) for case in planned}
    any_type = {(identifier, place) for identifier, place, _vt_type in have}
    missing = []
    for row in rows:
        for place in row.configurations:
            found = (row.id, place, row.vt_type) in have if row.vt_type else (row.id, place) in any_type
            if not found:
                missing.append((row, place))
    return missing


def missing_sightings(missing: Sequence[tuple[RequiredRow, str]]) -> Iterator[Sighting]:
    """Yield what the required table asks for and no case answers."""
    for row, place in missing:
        key = f"{row.vt_type or 'any'}:{row.id}:{place}"
        message = f"'{row.id}' under '{place}' is required, and the campaign has no case for it."
        yield Sighting(FindingKind.MISSING_CASE, key, message)


def campaign_sightings(record: CampaignRecord, cases: Sequence[JudgedCase]) -> Iterator[Sighting]:
    """Yield what befell the node and the campaign, each attributed to the case during which it came where that is known."""
    yield from _journal(record)
    yield from _health(record)
    for case, reason in record.doubts:
        yield Sighting(FindingKind.HEALTH_UNKNOWN, case, f"The node's health is not known: {reason}", (JOURNAL,))
    yield from _leftovers(record, cases)
    for problem in record.problems:
        yield Sighting(FindingKind.ERROR, "", f"Something of the harness itself broke: {problem}", (JOURNAL,))
    yield from _strangers(record)


def _leftovers(record: CampaignRecord, cases: Sequence[JudgedCase]) -> Iterator[Sighting]:
    """Yield one sighting a case of what was left, without what the case's own finding says already."""
    kind = FindingKind.LEFTOVER
    told = [one.sighting.message for case in cases for one in case.counted if one.sighting.kind is kind]
    left: dict[str, list[str]] = {}
    for case, difference in record.leftovers:
        if not any(difference in message for message in told):
            left.setdefault(case, []).append(difference)
    for case, differences in left.items():
        yield Sighting(kind, case, f"The node is not as it was: {'; '.join(differences)}", (JOURNAL,))


def _journal(record: CampaignRecord) -> Iterator[Sighting]:
    for sentence in record.damage:
        yield Sighting(FindingKind.TAMPERED_JOURNAL, "", f"The journal cannot be believed: {sentence}", (JOURNAL,))
    if record.ended != "finished":
        said = f"was {record.ended}" if record.ended else "has no end in the journal"
        yield Sighting(FindingKind.INTERRUPTED, "", f"The campaign {said}.", (JOURNAL,))


def _health(record: CampaignRecord) -> Iterator[Sighting]:
    told = set()
    for event in record.health:
        told.add((event.kind, event.case))
        evidence = (event.evidence,) if event.evidence else (JOURNAL,)
        yield Sighting(FindingKind(event.kind), event.case, event.message, evidence, build=event.build)
    for reboot in record.reboots:
        if not told & {("host-reboot", reboot.case), ("host-reboot", "")}:
            yield Sighting(FindingKind.HOST_REBOOT, reboot.case, reboot.sentence, (JOURNAL,), build=reboot.build)


def _strangers(record: CampaignRecord) -> Iterator[Sighting]:
    """Yield results that belong to no planned case: they were not asked for, and say that plan and journal do not fit."""
    planned = {str(case.key) for case in record.planned}
    for attempt in record.attempts:
        if attempt.case in planned or (not record.planned and record.damage):
            continue
        message = (
            f"'{attempt.logdir or attempt.case}' holds a result of no planned case ({attempt.damage or attempt.case})."
        )
        yield Sighting(FindingKind.TAMPERED_JOURNAL, "", message, (JOURNAL,))


def floor_sightings(record: CampaignRecord, cases: Sequence[JudgedCase], policy: Policy) -> Iterator[Sighting]:
    """Yield each case that was asked less than the policy permits: by a weaker limit than it ships with, or at a smaller scale."""
    locked = Locked((*record.required, *policy.required), record.header.profile)
    for case in cases:
        for weaker in locked.weaker(case.planned):
            yield Sighting(FindingKind.WEAK_LIMIT, str(weaker.key), weaker.sentence, (JOURNAL,), weaker.observation)
        for limit_floor in policy.limit_floors:
            if limit_floor.concerns(case.planned.key.hv_id):
                yield from _weak(case.planned, limit_floor)
        for scale_floor in policy.scale_floors:
            if scale_floor.concerns(case.planned.key.hv_id, record.header.profile):
                yield from _small(case, record.header.profile, scale_floor)


def _weak(case: PlannedCase, floor: LimitFloor) -> Iterator[Sighting]:
    text = case.limits.get(floor.observation)
    try:
        strong = text is not None and Limit.parse(text).implies(floor.limit)
    except DefinitionError:
        strong = False
    if not strong:
        asked = f"'{text}'" if text is not None else "nothing"
        message = f"'{floor.observation}' was asked {asked}; the weakest that the policy permits is '{floor.limit}'."
        yield Sighting(FindingKind.WEAK_LIMIT, str(case.key), message, (JOURNAL,), floor.observation)


def _small(case: JudgedCase, profile: str, floor: ScaleFloor) -> Iterator[Sighting]:
    """Yield the smallest scale at which a try was made; by the plan where no test said it."""
    traces = [one.attempt.trace.params for one in case.tried if one.attempt.trace]
    given = [effective(params, floor.parameter, profile) for params in traces or [case.planned.params]]
    values = [_number(text) for text in given]
    if min(values) < floor.at_least:
        told = given[values.index(min(values))] or "nothing"
        message = f"'{floor.parameter}' was {told}; the smallest that the policy permits is {floor.at_least:g}."
        yield Sighting(FindingKind.SMALL_SCALE, str(case.planned.key), message, (JOURNAL,))


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return float("-inf")
    return value if value == value else float("-inf")  # noqa: PLR0124 - not a number


def effective(params: dict[str, str], name: str, profile: str) -> str:
    """Return the value that a parameter has at a profile: the one with the profile's suffix wins."""
    return params.get(f"{name}_{profile}", params.get(name, ""))
