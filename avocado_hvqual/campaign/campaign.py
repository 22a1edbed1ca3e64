# SPDX-License-Identifier: GPL-2.0-or-later
"""One campaign on this node, from its first line in the journal to the last: phases, gates, health, and the node put back."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Optional

from avocado_hvqual.campaign import around, facts, gate, jobs, outcome, scratch, shutdown
from avocado_hvqual.campaign.alarm import Alarm
from avocado_hvqual.campaign.criticals import Criticals
from avocado_hvqual.campaign.folder import Folder, note_ended
from avocado_hvqual.campaign.host_watch import HostWatch
from avocado_hvqual.campaign.journal import Journal, read
from avocado_hvqual.campaign.options import Asked
from avocado_hvqual.campaign.phase_end import PhaseEnd
from avocado_hvqual.campaign.progress import Progress, clock
from avocado_hvqual.errors import HvqualError
from avocado_hvqual.health import copies
from avocado_hvqual.mirror.mirror import Mirror
from avocado_hvqual.model.case import Phase
from avocado_hvqual.plan import Made, Ready
from avocado_hvqual.wording import counted

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What asks a campaign to end: Ctrl-C, a service manager or the lab, a terminal that went away."""


@contextmanager
def _signals() -> Iterator[None]:
    """Let each of the ending signals interrupt the block as Ctrl-C does."""

    def interrupt(_number: int, _frame: Optional[FrameType]) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Ignore the ending signals for the block: an impatient second Ctrl-C must not cost the journal its last line."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass
class Campaign:
    """A planned campaign with its folder; ``run`` does it and returns how it ended."""

    made: Made
    folder: Folder
    command: str
    progress: Progress
    asked: Asked = field(default_factory=Asked)
    end: PhaseEnd = field(default_factory=PhaseEnd)
    failures: list[str] = field(default_factory=list)
    interrupted: bool = False
    stopped: bool = False
    rebooting: bool = False
    kernel_log: str = copies.FIRST
    look: Callable[[], object] = bool
    """Looks for critical findings at once (`Alarm.now`), while there is an alarm."""
    mirror: Optional[Mirror] = None

    def header(self) -> dict[str, Any]:
        """Return the data of the journal's first line."""
        return {
            "id": self.folder.campaign,
            "profile": self.made.profile.name,
            "selection": self.made.part,
            "lab": self.made.profile.lab or facts.in_lab(),
            "node": facts.node(),
            "command": self.command,
            "versions": facts.versions(),
        }

    def run(self) -> str:
        """Run all phases; return ``finished``, ``interrupted`` or ``stopped`` (a closed gate). What broke is in ``failures``."""
        with _signals(), self.journal() as journal, self._mirrored(journal):
            watch = HostWatch(self.folder.path, self.folder.campaign, self.kernel_log)
            try:
                self.begin(journal)
                watch.start()
                with scratch.folder(), around.unchanged(journal), self._alarm(journal, watch):
                    self._phases(journal, watch)
            except KeyboardInterrupt:
                self.interrupted = True
            except Exception as error:
                self.stopped = True
                line = {"message": f"{type(error).__name__}: {error}", "where": "campaign"}
                self._guarded(lambda: journal.append("problem", line), "Noting what broke")
                raise
            finally:
                with _undisturbed():
                    self._guarded(lambda: self._close(journal, watch), "Closing the journal")
        return self._status()

    @contextmanager
    def _mirrored(self, journal: Journal) -> Iterator[None]:
        """Send journal and evidence off the node for the block, where that was asked for; what is lost of it stops nothing."""
        self.mirror = mirror = self._mirror()
        if mirror is None:
            yield
            return
        mirror.start()
        mirror.attach(journal.append)
        try:
            yield
        finally:
            with _undisturbed():
                mirror.finish(leaving=self.rebooting)
                self.failures += mirror.failures
                self.progress.say(mirror.words())

    def _mirror(self) -> Optional[Mirror]:
        """Return the mirror that is asked for, else the one that the campaign had before it broke; it may have gone away meanwhile."""
        lines = read(self.folder.path).lines
        uri = self.asked.mirror or next((line.data["uri"] for line in reversed(lines) if line.kind == "mirror"), "")
        try:
            return Mirror(uri, self.folder.path, self.folder.campaign) if uri else None
        except HvqualError as error:
            self.failures.append(str(error))
            return None

    @contextmanager
    def _alarm(self, journal: Journal, watch: HostWatch) -> Iterator[None]:
        """Tell critical findings at once for the block, where that was asked for."""
        criticals = Criticals(self.folder.path, *self.asked.judged_by())
        alarm = Alarm(journal, self.asked.on_critical, criticals, self.end.ask)
        alarm.peek = watch.fresh
        alarm.start()
        self.look = alarm.now
        try:
            yield
        finally:
            alarm.close()

    def journal(self) -> Journal:
        """Return the journal that the campaign is written into."""
        return Journal.create(self.folder.path, self.header())

    def begin(self, journal: Journal) -> None:
        """Write down what is to be done, before anything of it is."""
        journal.append("plan", self.made.plan.to_json())
        for change in self.made.changes:
            line = {"name": change.name, "value": change.given, "profile_value": change.shipped or ""}
            journal.append("parameter", {**line, "case": str(change.key)})

    def _status(self) -> str:
        if self.interrupted:
            return "interrupted"
        return "stopped" if self.stopped else "finished"

    def wanted(self, case: Ready) -> bool:  # noqa: ARG002 - a campaign that goes on runs only some
        """Return whether the case is to be run."""
        return True

    def entered(self, phase: Phase) -> bool:  # noqa: ARG002 - a campaign that goes on has been there
        """Return whether the campaign has begun the phase before, so that its gate has been passed."""
        return False

    def announce_reboot(self, journal: Journal, reason: str) -> None:
        """
        Write down that the node boots anew on purpose, before it does: the campaign stays open, to be resumed after the boot.

        For phases that change the node's kernel. The caller ends the process; the unplanned reboots are all others.
        """
        journal.append("reboot-planned", {"reason": reason})
        self.rebooting = True

    def _guarded(self, step: Callable[[], None], what: str) -> None:
        try:
            step()
        except (HvqualError, OSError) as error:
            self.failures.append(f"{what} failed: {error}")

    def _phases(self, journal: Journal, watch: HostWatch) -> None:
        phases = self.made.phases()
        if self._is_stopped("No phase is begun"):
            return
        for number, phase in enumerate(phases):
            cases = self._cases(phase)
            if cases:
                self.progress.say(
                    f"Phase {phase.value}: {counted(len(cases), 'case')}, {clock(self.progress.eta())} left in all."
                )
                self._phase(phase, cases, journal, watch)
            following = phases[number + 1] if number + 1 < len(phases) else None
            if self._is_stopped(f"The phase {phase.value} was ended early") or self.interrupted or following is None:
                return
            if self.entered(following) or not self._cases(following):
                continue
            if not self._gate(phase, following, journal):
                self.stopped = True
                return

    def _is_stopped(self, what: str) -> bool:
        """Look once more for critical findings; return whether the campaign ends here, for which the reason is said."""
        self.look()
        if self.end.reason:
            self.stopped = True
            self.progress.say(f"{what}: {self.end.reason}")
        return self.stopped

    def _cases(self, phase: Phase) -> list[Ready]:
        return [case for case in self.made.cases if case.planned.phase is phase and self.wanted(case)]

    def _phase(self, phase: Phase, cases: list[Ready], journal: Journal, watch: HostWatch) -> None:
        ended = jobs.run_phase(phase, cases, jobs.Surroundings(self.folder, journal, watch, self.progress, self.end))
        watch.report(journal, ended.events.started)
        for failure in ended.failures:
            self.failures.append(failure)
            journal.append("problem", {"message": failure, "where": f"job of the phase {phase.value}"})
        self.interrupted = self.interrupted or ended.interrupted

    def _gate(self, phase: Phase, following: Phase, journal: Journal) -> bool:
        """Return whether the campaign goes on; what the gate says stands in the journal either way."""
        planned = [str(case.planned.key) for case in self.made.cases if case.planned.phase is phase]
        planned += [str(key) for key in self.made.missing_in(phase)]
        answer = gate.evaluate(phase, planned, outcome.judge(self.folder.path, self.asked.ledger, self.asked.policy))
        journal.append("gate", {"phase": following.value, "passed": answer.passed, "reason": answer.reason})
        if answer.passed:
            return True
        if self.asked.override:
            journal.append("gate-override", {"phase": following.value, "reason": self.asked.override})
            self.progress.say(
                f"The gate to {following.value} is closed and overridden ({self.asked.override}): {answer.reason}"
            )
            return True
        goes_on = self.made.part or self.made.profile.gate == "record"
        consequence = "this is a part run and goes on" if goes_on else f"the phase {following.value} is not started"
        self.progress.say(f"The gate to {following.value} is closed, {consequence}: {answer.reason}")
        return goes_on

    def _close(self, journal: Journal, watch: HostWatch) -> None:
        watch.finish(journal, {})
        if self.mirror is not None:
            self.mirror.detach()
        if self.interrupted and not self.rebooting and shutdown.under_way():
            self.announce_reboot(journal, shutdown.REASON)
        if self.rebooting:
            return
        journal.append("campaign-end", {"status": self._status()})
        note_ended(self.folder.campaign)
