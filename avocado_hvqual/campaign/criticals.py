# SPDX-License-Identifier: GPL-2.0-or-later
"""The judge asked early: what is critical and open in one case that just ended, or in what just befell the node."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from avocado_hvqual import tries
from avocado_hvqual.judge import judge
from avocado_hvqual.ledger import Ledger
from avocado_hvqual.ledger_logs import looked_up
from avocado_hvqual.model.finding import NOT_ATTEMPTED, Finding, FindingKind, Severity
from avocado_hvqual.model.plan import Plan
from avocado_hvqual.model.record import Attempt, CampaignRecord, Header, HealthEvent, Reboot
from avocado_hvqual.policy_model import Policy


class Criticals:
    """Judges one thing at a time by the campaign's policy and ledger; each critical open finding comes out once."""

    def __init__(self, folder: Path, policy: Policy, ledger: Ledger) -> None:
        self.folder = folder
        self._policy = policy
        self._ledger = ledger
        self._told: set[tuple[str, str]] = set()

    def of_case(self, header: Header, plan: Plan, attempt: Attempt) -> list[Finding]:
        """Return what is critical in one try of one case."""
        planned = tuple(case for case in plan.cases if str(case.key) == attempt.case)
        required = tuple(row for row in plan.required if any(row.answered_by(case.key) for case in planned))
        tried = tries.in_order(self.folder, [attempt], [0], ())[:1]
        record = CampaignRecord(header, planned, required, tried, ended="finished", known=frozenset({attempt.case}))
        return list(self._new(self._judged(record)))

    def of_events(
        self, header: Header, plan: Plan, events: Sequence[HealthEvent], reboots: Sequence[Reboot] = ()
    ) -> list[Finding]:
        """Return what is critical among things that befell the node, each with the case during which it did."""
        during = {event.case for event in events} | {reboot.case for reboot in reboots}
        planned = tuple(case for case in plan.cases if str(case.key) in during)
        told = tuple(replace(one, build=0) for one in events), tuple(replace(one, build=0) for one in reboots)
        record = CampaignRecord(header, planned, health=told[0], reboots=told[1], ended="finished")
        said = {(event.kind, event.message) for event in events}
        said |= {(FindingKind.HOST_REBOOT.value, one.sentence) for one in reboots}
        # Its cases look as if they never began here: of that the campaign's own record tells.
        found = (one for one in self._judged(record) if (one.kind.value, one.message) in said)
        return list(self._new(one for one in found if one.kind not in NOT_ATTEMPTED))

    def knows(self, told: Iterable[tuple[str, str]]) -> None:
        """Take (case, fingerprint) of what was told before: it does not come out again."""
        self._told.update(told)

    def _judged(self, record: CampaignRecord) -> tuple[Finding, ...]:
        """Return the findings; as of a part run, because what is missing is no news."""
        record = replace(record, header=replace(record.header, selection=True))
        today = dt.date(*time.gmtime()[:3])
        ledger = looked_up(self._ledger, record, self.folder)
        return judge(record, self._policy, ledger, today).findings

    def _new(self, findings: Sequence[Finding] | Iterator[Finding]) -> Iterator[Finding]:
        for finding in findings:
            key = (finding.case, finding.fingerprint)
            if finding.severity is Severity.CRITICAL and finding.is_open and key not in self._told:
                self._told.add(key)
                yield finding
