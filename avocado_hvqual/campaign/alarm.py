# SPDX-License-Identifier: GPL-2.0-or-later
"""
Tells a critical finding at once, not at the end of 96 hours (section 6.2), and ends the phase where that is asked for.

A thread follows the campaign's own journal and the copy of the kernel log. It judges each case that ended and each thing that befell
the node, by the rules of the verdict. What it cannot do (a webhook that is down, a command that fails) is noted in the journal and
never stops or blocks the campaign.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Optional

from avocado_hvqual import journal_reading
from avocado_hvqual.campaign import breaks, notify
from avocado_hvqual.campaign.criticals import Criticals
from avocado_hvqual.campaign.journal import Journal
from avocado_hvqual.errors import HvqualError
from avocado_hvqual.model.finding import Finding
from avocado_hvqual.model.plan import Plan
from avocado_hvqual.model.record import Attempt, Header, HealthEvent

LOOK_SECONDS = 0.5
TURN_SECONDS = 10.0
"""The end of a phase waits so long for a look that is under way: who is slow to be told blocks nothing."""
CLOSE_SECONDS = 75.0
"""The end of a campaign waits so long for what is still being told: a command's time and a webhook's tries."""

Peek = Callable[[set[str]], dict[Optional[str], list[dict[str, Any]]]]


class Alarm:
    """``start`` it when the journal has its plan, ``close`` it before the journal is closed."""

    def __init__(
        self, journal: Journal, on: notify.OnCritical, criticals: Criticals, ask_end: Callable[[str], bool]
    ) -> None:
        self._journal = journal
        self._on = on
        self._criticals = criticals
        self._ask_end = ask_end
        self.peek: Peek = lambda _cases: {}
        self._offset = 0
        self._header: Optional[Header] = None
        self._plan: Optional[Plan] = None
        self._begun: set[str] = set()
        self._break: Optional[breaks.News] = None
        self._ended = threading.Event()
        self._broke: set[str] = set()
        self._turn = threading.Lock()
        self._thread = threading.Thread(target=self._follow, name="hvqual-alarm", daemon=True)

    def start(self) -> None:
        """
        Begin to follow from here on; nothing happens where nothing was asked for. What went before was told in its own time.

        All but what broke the campaign that goes on: it is told first, for there was no process that could.
        """
        if self._on.action == notify.NONE:
            return
        for kind, wall, data in self._lines():
            if kind in {"campaign", "plan", "case-begin"}:
                self._take(kind, wall, data)
        self._break = breaks.of(self._journal.folder)
        self._thread.start()

    def now(self) -> None:
        """Look at once, so that no phase begins over a critical finding that the journal has already; only where one is to end it."""
        if self._on.action == notify.STOP and self._turn.acquire(timeout=TURN_SECONDS):
            try:
                self._try()
            finally:
                self._turn.release()

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Look a last time and end; what does not end in time is noted and left behind."""
        if not self._thread.is_alive():
            return
        self._ended.set()
        self._thread.join(seconds)
        if self._thread.is_alive():
            self._once(f"The campaign ended, and in {seconds:g} s not all could be told.")

    def _follow(self) -> None:
        last = False
        while not last:
            last = self._ended.wait(LOOK_SECONDS)
            with self._turn:
                self._try()

    def _try(self) -> None:
        try:
            self._look()
        except Exception as error:  # noqa: BLE001 - whatever it is, the campaign goes on, and the journal says what broke
            self._once(f"The alarm broke: {type(error).__name__}: {error}")

    def _once(self, problem: str) -> None:
        if problem not in self._broke:
            self._broke.add(problem)
            # A journal that is full or closed takes no note; what it says of itself is the campaign's business.
            with contextlib.suppress(HvqualError):
                self._note(None, [], [problem])

    def _look(self) -> None:
        if self._break is not None and self._header is not None and self._plan is not None:
            news, self._break = self._break, None
            self._criticals.knows(news.told)
            self._tell_all(self._criticals.of_events(self._header, self._plan, news.events, news.reboots))
            if news.attempt is not None:
                self._tell_all(self._criticals.of_case(self._header, self._plan, news.attempt))
        for kind, wall, data in self._lines():
            self._take(kind, wall, data)
        if self._header is not None and self._plan is not None:
            for case, events in self.peek(set(self._begun)).items():
                self._events(case or "", events, time.time())

    def _lines(self) -> list[tuple[str, float, dict[str, Any]]]:
        """Return the whole lines that the journal got since the last look."""
        with (self._journal.folder / journal_reading.FILE).open("rb") as file:
            file.seek(self._offset)
            new = file.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._offset += len(whole)
        lines = [json.loads(line) for line in whole.splitlines()]
        return [(line["kind"], line["wall"], line["data"]) for line in lines]

    def _take(self, kind: str, wall: float, data: dict[str, Any]) -> None:
        if kind == "campaign":
            self._header = Header.from_json(data, wall)
        elif kind == "plan":
            self._plan = Plan.from_json(data)
        elif kind == "case-begin":
            self._begun.add(data["case"])
        elif kind == "case-end":
            self._case(data)
        elif kind == "health":
            self._events(data["case"] or "", data["events"], wall)

    def _case(self, data: dict[str, Any]) -> None:
        if self._header is None or self._plan is None:
            return
        told = (data["fail_reason"], data["fail_class"], data["logdir"] or "", float(data["time"]))
        attempt = Attempt(data["case"], data["status"], 1, *told, watched=True)
        self._tell_all(self._criticals.of_case(self._header, self._plan, attempt))

    def _events(self, case: str, events: list[dict[str, Any]], wall: float) -> None:
        if self._header is None or self._plan is None or not events:
            return
        seen = [
            HealthEvent(one["kind"], one["message"], one["evidence"], case, one.get("wall", wall)) for one in events
        ]
        self._tell_all(self._criticals.of_events(self._header, self._plan, seen))

    def _tell_all(self, findings: list[Finding]) -> None:
        """Ask for the end first: a notifier may take its time."""
        if findings and self._on.action == notify.STOP:
            first = findings[0]
            where = f" in '{first.case}'" if first.case else ""
            reason = f"A critical finding appeared{where} ({first.kind.value}, {first.fingerprint}): {first.message}"
            if self._ask_end(reason):
                self._journal.append("stop", {"reason": reason})
        for finding in findings:
            told, problems = notify.tell(self._on, self._news(finding), self._ended)
            self._note(finding, told, problems)

    def _news(self, finding: Finding) -> dict[str, Any]:
        header = self._header
        return {
            "format": 1,
            "event": "critical-finding",
            "action": self._on.action,
            "campaign": header.id if header else "",
            "profile": header.profile if header else "",
            "node": header.node if header else {},
            "folder": str(Path(self._criticals.folder).absolute()),
            "case": finding.case,
            "kind": finding.kind.value,
            "severity": finding.severity.value,
            "rule": finding.rule,
            "message": finding.message,
            "fingerprint": finding.fingerprint,
            "evidence": list(finding.evidence),
            "told_at": time.time(),
        }

    def _note(self, finding: Optional[Finding], told: list[str], problems: list[str]) -> None:
        """Write down what was told to whom, or what could not be; without a finding it is the alarm itself that failed."""
        line = {
            "case": (finding.case or None) if finding else None,
            "kind": finding.kind.value if finding else "",
            "severity": "critical",
            "message": finding.message if finding else "",
            "fingerprint": finding.fingerprint if finding else "",
            "told": told,
            "problems": problems,
        }
        self._journal.append("alarm", line)
