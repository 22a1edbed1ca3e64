# SPDX-License-Identifier: GPL-2.0-or-later
"""
The judge: `judge(campaign, policy, ledger, today) -> Qualification`. Pure: the same input gives the same value.

It asks every limit again of the observations and believes no status alone (decision 1); counts as attempted only what was seen
(decision 2), against the required table (decision 3); grades by the table (4) and folds once (5). From a folder it is

``judge(load_campaign(folder), load_policy(), load_ledger(path or None), today)`` (`loader`, `load`); the status is `exit_codes.status`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from avocado_hvqual import ledger as ledger_module
from avocado_hvqual.judging import advice
from avocado_hvqual.judging import cases as judged_cases
from avocado_hvqual.judging.builds import Builds
from avocado_hvqual.judging.campaign import campaign_sightings, floor_sightings, missing_rows, missing_sightings
from avocado_hvqual.judging.cases import Counted, JudgedCase
from avocado_hvqual.judging.gates import CLOUD, Count, Standing, gate_answers, order_broken
from avocado_hvqual.judging.sighting import Sighting
from avocado_hvqual.ledger import Ledger
from avocado_hvqual.model.case import RequiredRow
from avocado_hvqual.model.finding import NOT_ATTEMPTED, Finding, FindingKind
from avocado_hvqual.model.plan import PlannedCase
from avocado_hvqual.model.qualification import CaseResult, GateAnswer, NotCovered, Qualification
from avocado_hvqual.model.record import CampaignRecord
from avocado_hvqual.model.verdict import Verdict, basis, fold, worst
from avocado_hvqual.policy_model import Policy
from avocado_hvqual.severity import Subject
from avocado_hvqual.uncollected import uncollected
from avocado_hvqual.wording import agreeing, counted, share

Missing = Sequence[tuple[RequiredRow, str]]


class _Facts(NamedTuple):
    """What a finding's case is, for the severity table."""

    category: str = ""
    phase: str = ""
    components: tuple[str, ...] = ()


class _Judged(NamedTuple):
    """The campaign in parts: its cases, the rows that no case answers, the findings, and what matched nothing."""

    cases: tuple[JudgedCase, ...]
    missing: Missing
    findings: tuple[Finding, ...]
    stale: tuple[str, ...]
    builds: Builds


class _Amount(NamedTuple):
    """What it comes to."""

    required: int
    attempted: int
    basis: Verdict
    gates: tuple[GateAnswer, ...]
    out_of_order: tuple[str, ...]
    """Why it is at best QUALIFIED_WITH_WAIVERS: what was begun although its gate was closed."""


COMPONENT_PROBE = "component "
"""A test's probe so named says whether a component took part: under TCG no guest runs through KVM."""


@uncollected()
def judge(campaign: CampaignRecord, policy: Policy, ledger: Ledger, today: dt.date) -> Qualification:
    """Return the verdict on a campaign with all its reasons."""
    it = _judged(campaign, policy, ledger, today)
    amount, header = _amount(campaign, it), campaign.header
    return Qualification(
        verdict=fold(amount.basis, selection=header.selection, lab=header.lab),
        basis=amount.basis,
        clean=amount.required == amount.attempted > 0 and not any(finding.is_open for finding in it.findings),
        required=amount.required,
        attempted=amount.attempted,
        findings=it.findings,
        results=tuple(map(_result, it.cases)),
        not_covered=tuple(_not_covered(it.cases, it.missing, policy)),
        gates=amount.gates,
        reasons=tuple(_reasons(it.findings, amount)),
        next_steps=advice.next_steps(it.findings, selection=header.selection, lab=header.lab),
        header=header,
        ended_wall=campaign.ended_wall,
        parameters=tuple(dict.fromkeys(campaign.parameters)),
        phase_gates=campaign.gates,
        scale=_scale(it.cases),
        notes=(*campaign.notes, *ledger.notes, *(note for case in it.cases for note in case.notes)),
        stale=it.stale,
        health=campaign.health,
        builds=it.builds.told(it.cases),
        continued=campaign.continued,
        policy=f"{policy.name} {policy.digest}".strip(),
        today=today.isoformat(),
    )


def _judged(campaign: CampaignRecord, policy: Policy, ledger: Ledger, today: dt.date) -> _Judged:
    header = campaign.header
    rows = tuple(dict.fromkeys((*campaign.required, *policy.required)))
    builds = Builds.of(campaign, policy.builds)
    cases = tuple(map(builds.settled, judged_cases.judge_cases(campaign, rows, policy)))
    missing = [] if header.selection else missing_rows(rows, campaign.planned)
    graded = _graded(campaign, cases, missing, policy, bare=not rows)
    setting = ledger_module.Setting(header.profile, str(header.node.get("id", "")), today, policy.waiver_notice_days)
    findings, stale = ledger_module.apply(graded, ledger, setting)
    findings = tuple(sorted(findings, key=_order))
    return _Judged(tuple(_reopened(case, findings) for case in cases), missing, findings, stale, builds)


def _amount(campaign: CampaignRecord, it: _Judged) -> _Amount:
    """Return the counts, what the findings amount to, and the answers of the exit criteria."""
    counts = {cloud: _count(it.cases, it.missing, cloud=cloud) for cloud in (False, True)}
    required = sum(count.required for count in counts.values())
    attempted = sum(count.attempted for count in counts.values())
    tried = any(case.tried for case in it.cases if case.planned.phase.value == CLOUD)
    standing = Standing(it.findings, counts[False], counts[True], tried, campaign.gates, campaign.header.selection)
    amount = basis(it.findings, required, attempted)
    out_of_order = (*order_broken(standing), *it.builds.capped(it.cases))
    if out_of_order:
        amount = worst([amount, Verdict.QUALIFIED_WITH_WAIVERS])
    return _Amount(required, attempted, amount, gate_answers(standing), out_of_order)


def _order(finding: Finding) -> tuple[int, int, str, str]:
    return finding.severity.rank, list(FindingKind).index(finding.kind), finding.case, finding.message


def _graded(
    campaign: CampaignRecord, cases: Sequence[JudgedCase], missing: Missing, policy: Policy, *, bare: bool
) -> list[Finding]:
    """Return every finding with its severity, before the ledger speaks."""
    facts = {str(case.planned.key): _facts(case.planned) for case in cases}
    for row, place in missing:
        facts[f"{row.vt_type or 'any'}:{row.id}:{place}"] = _Facts(
            row.id.split(".")[1], row.phase.value, row.components
        )
    counted = [one for case in cases for one in case.counted]
    others = [
        *campaign_sightings(campaign, cases),
        *floor_sightings(campaign, cases, policy),
        *missing_sightings(missing),
    ]
    if bare and not campaign.header.selection:
        others.append(
            Sighting(FindingKind.MISSING_CASE, "", "There is no required table, so nobody can say what is missing.")
        )
    counted += Builds.of(campaign, policy.builds).events(others, cases)
    return [_finding(one, facts.get(one.sighting.case, _Facts()), policy) for one in counted]


def _facts(case: PlannedCase) -> _Facts:
    return _Facts(case.category, case.phase.value, case.components)


def _finding(counted: Counted, facts: _Facts, policy: Policy) -> Finding:
    seen = counted.sighting
    subject = Subject(
        seen.kind, seen.case, facts.category, facts.phase, seen.observation, seen.message, facts.components
    )
    severity, rule = policy.severities.of(subject)
    return Finding(
        kind=seen.kind,
        severity=severity,
        case=seen.case,
        message=seen.message,
        evidence=seen.evidence,
        category=facts.category,
        phase=facts.phase,
        observation=seen.observation,
        components=facts.components,
        rule=rule,
        seen=counted.seen,
        attempts=counted.attempts,
        fixed=counted.fixed,
    )


def _reopened(case: JudgedCase, findings: Iterable[Finding]) -> JudgedCase:
    """Return the case with what the campaign says of it: asked too little or not watched is not attempted."""
    key = str(case.planned.key)
    have = {(counted.sighting.kind, counted.sighting.message) for counted in case.counted}
    more = tuple(
        Counted(Sighting(finding.kind, key, finding.message, finding.evidence), finding.seen, finding.attempts)
        for finding in findings
        if finding.case == key and finding.kind in NOT_ATTEMPTED and (finding.kind, finding.message) not in have
    )
    return replace(case, counted=(*case.counted, *more)) if more else case


def _count(cases: Sequence[JudgedCase], missing: Missing, *, cloud: bool) -> Count:
    """Return how many cases of the cloud phase, or of those before it, are required and attempted."""
    needed = [case for case in cases if (case.planned.phase.value == CLOUD) is cloud and not case.excused]
    lost = [row for row, _place in missing if (row.phase.value == CLOUD) is cloud]
    return Count(len(needed) + len(lost), sum(case.attempted for case in needed))


def _result(case: JudgedCase) -> CaseResult:
    latest = case.tried[-1] if case.tried else None
    return CaseResult(
        case=str(case.planned.key),
        phase=case.planned.phase.value,
        category=case.planned.category,
        outcome=case.outcome,
        attempts=tuple(tried.attempt.status or "no end" for tried in case.tried),
        maturity=case.planned.maturity,
        seconds=sum(tried.attempt.time for tried in case.tried),
        judgements=latest.judgements if latest else (),
        logdir=latest.attempt.logdir if latest else "",
        traces=tuple(tried.attempt.trace for tried in case.tried if tried.attempt.trace),
        began=latest.attempt.began if latest else 0.0,
        stale=case.stale,
    )


def _not_covered(cases: Sequence[JudgedCase], missing: Missing, policy: Policy) -> Iterable[NotCovered]:
    for case in cases:
        if case.excused:
            yield NotCovered(str(case.planned.key), f"Not required: {case.excused}.")
        elif not case.attempted:
            why = [one.sighting for one in case.counted if one.sighting.kind in NOT_ATTEMPTED]
            yield NotCovered(
                str(case.planned.key), f"{why[-1].kind.value}: {why[-1].message}" if why else "Never tried."
            )
    for row, place in missing:
        yield NotCovered(f"{row.vt_type or 'any'}:{row.id}:{place}", "Required, and the campaign has no case for it.")
    exercised = {component for case in cases if case.attempted for component in _exercised(case)}
    for component in policy.components:
        if component not in exercised:
            yield NotCovered(f"component {component}", "No attempted case exercises it.")


def _exercised(case: JudgedCase) -> set[str]:
    """Return the components that the case went through: those it names, less those of which its probe says "not here"."""
    absent = {
        probe.name[len(COMPONENT_PROBE) :]
        for tried in case.tried
        for probe in (tried.attempt.trace.capabilities if tried.attempt.trace else ())
        if probe.name.startswith(COMPONENT_PROBE) and not probe.ok
    }
    return set(case.planned.components) - absent


def _scale(cases: Sequence[JudgedCase]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for case in cases:
        for tried in case.tried:
            for name, pair in (tried.attempt.trace.scale if tried.attempt.trace else {}).items():
                used, full = pair if isinstance(pair, list) and len(pair) == 2 else (pair, "?")  # noqa: PLR2004
                found.setdefault(case.planned.key.hv_id, {})[str(name)] = f"{used} of {full}"
    return found


def _reasons(findings: Sequence[Finding], amount: _Amount) -> Iterable[str]:
    """Yield why the verdict is no better, the worst first."""
    required, attempted = amount.required, amount.attempted
    if not required:
        yield "Nothing was required, so nothing is shown."
    elif attempted < required:
        left = required - attempted
        yield f"{share(left, required, 'required case')} {agreeing(left, 'was', 'were', of=required)} not attempted."
    broken = [finding for finding in findings if not finding.case and finding.kind in NOT_ATTEMPTED]
    yield from (finding.message for finding in broken)
    for severity in ("critical", "major", "minor"):
        number = sum(
            finding.is_open and finding.severity.value == severity and finding.kind not in NOT_ATTEMPTED
            for finding in findings
        )
        if number:
            yield f"{counted(number, f'{severity} finding')} {agreeing(number, 'is', 'are')} open."
    yield from amount.out_of_order
    leaning = [finding for finding in findings if (finding.waiver or finding.is_downgraded) and not finding.fixed]
    if leaning:
        number = len(leaning)
        yield f"{counted(number, 'finding')} {agreeing(number, 'leans', 'lean')} on a waiver or a changed severity in the ledger."
