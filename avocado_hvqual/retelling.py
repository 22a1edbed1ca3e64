# SPDX-License-Identifier: GPL-2.0-or-later
"""What a journal tells, line by line: tries, health, reboots, gates. No file of a test is looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Optional

from avocado_hvqual import journal_reading as journal
from avocado_hvqual.model.plan import Plan
from avocado_hvqual.model.record import (
    Attempt,
    Continued,
    Gate,
    HealthEvent,
    ParameterChange,
    Reboot,
    Vouched,
)
from avocado_hvqual.tries import Job

Line = journal.Line
OVER = ("finished", "stopped")
"""A campaign that ended so by itself was over: that the node boots for a fix, a new kernel, or for anything else, befell no campaign."""


class _Reader:
    """Takes the lines of a journal in their order and ends as a CampaignRecord."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.plan: Optional[Plan] = None
        self.attempts: list[Attempt] = []
        self.running: dict[str, tuple[int, str, float]] = {}
        self.jobs: list[Job] = []
        self.builds: list[dict[str, str]] = []
        self.continued: list[Continued] = []
        self.fresh: list[Attempt] = []
        self.starts = [0]
        self.health: list[HealthEvent] = []
        self.doubts: list[tuple[str, str]] = []
        self.watched: set[tuple[str, int]] = set()
        self.leftovers: list[tuple[str, str]] = []
        self.gates: list[Gate] = []
        self.parameters: list[ParameterChange] = []
        self.problems: list[str] = []
        self.reboots: list[Reboot] = []
        self.damage: list[str] = []
        self.vouched: dict[str, Vouched] = {}
        self.notes: list[str] = []
        self.ended, self.ended_wall = "", 0.0
        self.boot_id, self.reboot_is_planned = "", False
        self.latest = ""
        self.wall = 0.0

    def take_all(self, reading: journal.Reading) -> None:
        """Take a journal from its first line to its last, and note what it leaves open."""
        for line in reading.lines:
            self.take(line)
        for case in list(self.running):
            self.never_ended(case)
        if self.plan is None and not (reading.damage or self.damage):
            self.damage.append(f"{journal.FILE}:{len(reading.lines)}: ends before the plan was written.")

    def take(self, line: Line) -> None:
        """Take one line."""
        if self.boot_id and line.boot_id != self.boot_id and not self.reboot_is_planned:
            self.booted_anew(line)
        if line.boot_id != self.boot_id:
            self.reboot_is_planned = False
        self.boot_id, self.wall = line.boot_id, line.wall
        handle = _HANDLERS.get(line.kind)
        if handle is not None:
            handle(self, line)

    def booted_anew(self, line: Line) -> None:
        """Take a reboot that nobody had announced; one after the campaign's end is noted, and befell no campaign."""
        if self.ended in OVER:
            self.notes.append("The node was booted anew after the campaign had come to its end, and before it went on.")
            return
        during = next(reversed(list(self.running)), "")
        where = (
            f"during '{during}'"
            if during
            else f"between cases, after '{self.latest}'"
            if self.latest
            else "before the first case"
        )
        self.reboots.append(
            Reboot(during, f"The node booted anew {where}, and nobody had announced it.", self.build, line.number)
        )

    def on_plan(self, line: Line) -> None:
        try:
            plan = Plan.from_json(line.data)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            self.damage.append(f"{journal.FILE}:{line.number}: the plan cannot be read: {error!r}.")
            return
        if self.plan is not None and plan != self.plan:
            self.damage.append(f"{journal.FILE}:{line.number}: a second plan differs from the first one.")
            return
        self.plan = plan

    def on_phase(self, _line: Line) -> None:
        self.ended = ""

    def on_job(self, line: Line) -> None:
        self.ended = ""
        self.jobs.append(Job(str(line.data["job_dir"]), self.build, len(self.continued)))

    def on_case_begin(self, line: Line) -> None:
        case = str(line.data["case"])
        self.ended, self.latest = "", case
        self.never_ended(case)
        self.running[case] = (line.number, line.data["logdir"] or "", line.wall)

    def never_ended(self, case: str) -> None:
        """Note the try of a case that began and of which no end was told."""
        if case in self.running:
            number, logdir, began = self.running.pop(case)
            self.tried(Attempt(case, None, number, logdir=logdir, began=began, build=self.build))

    def tried(self, attempt: Attempt) -> None:
        """Take a try; whether the node was watched to its end is told by a later line."""
        self.attempts.append(attempt)
        self.fresh.append(attempt)

    def told(self) -> list[Attempt]:
        """Return the tries that the journal tells, each with whether it was watched."""
        return [replace(one, watched=(one.case, one.line) in self.watched) for one in self.attempts]

    def on_case_end(self, line: Line) -> None:
        data, case = line.data, str(line.data["case"])
        self.ended, self.latest = "", case
        _number, logdir, began = self.running.pop(case, (0, "", 0.0))
        self.tried(
            Attempt(
                case,
                data["status"],
                line.number,
                data["fail_reason"],
                data["fail_class"],
                data["logdir"] or logdir,
                float(data["time"]),
                began=began,
                build=self.build,
            )
        )

    def on_health(self, line: Line) -> None:
        self.health.extend(replace(event, build=self.build) for event in events_of(line))

    def on_health_state(self, line: Line) -> None:
        case = line.data["case"] or ""
        if line.data["state"] == "known":
            self.watched |= {(attempt.case, attempt.line) for attempt in self.fresh if case in {"", attempt.case}}
            self.fresh = [attempt for attempt in self.fresh if case not in {"", attempt.case}]
        else:
            self.doubts.append((case, line.data["reason"] or "No reason was given."))

    def on_node_state(self, line: Line) -> None:
        case, data = line.data["case"] or "", line.data
        found = [str(difference) for difference in data["differences"]]
        if data["before"] != data["after"] and not found:
            found = ["its digest differs, and nobody wrote down in what"]
        self.leftovers.extend((case, difference) for difference in found)

    def on_gate(self, line: Line) -> None:
        self.gates.append(Gate(line.data["phase"], line.data["passed"], line.data["reason"]))

    def on_gate_override(self, line: Line) -> None:
        """Take the operator's word for the latest gate of the phase."""
        places = [place for place, gate in enumerate(self.gates) if gate.phase == line.data["phase"]]
        if places:
            self.gates[places[-1]] = replace(self.gates[places[-1]], override=line.data["reason"])
        else:
            self.gates.append(Gate(line.data["phase"], False, "It was never asked.", line.data["reason"]))  # noqa: FBT003

    def on_stop(self, line: Line) -> None:
        self.notes.append(f"The phase was ended after the case that ran: {line.data['reason']}")

    def on_alarm(self, line: Line) -> None:
        self.notes.extend(f"A critical finding was not told at once: {one}" for one in line.data["problems"])

    def on_evidence(self, line: Line) -> None:
        self.vouched[line.data["path"]] = Vouched(line.data["path"], line.data["size"], line.data["sha256"])

    def on_parameter(self, line: Line) -> None:
        data = line.data
        self.parameters.append(ParameterChange(data["name"], data["value"], data["profile_value"], data["case"] or ""))

    def on_reboot_planned(self, _line: Line) -> None:
        self.reboot_is_planned = True

    def on_continued(self, line: Line) -> None:
        """
        Take the beginning of another process.

        What ran in the one before has ended, and of what nobody watched there the new one knows nothing.
        """
        for case in list(self.running):
            self.never_ended(case)
        self.fresh, self.ended, self.reboot_is_planned = [], "", False
        self.starts.append(len(self.attempts))
        self.continued.append(Continued(line.data["verb"], line.data["command"], line.wall))

    def on_build(self, line: Line) -> None:
        self.builds.append(_versions(line.data))

    @property
    def build(self) -> int:
        """The place of the build under test among all of them; the header tells the first one."""
        return max(0, len(self.builds) - 1)

    def on_problem(self, line: Line) -> None:
        self.problems.append(f"{line.data['where']}: {line.data['message']}")

    def on_end(self, line: Line) -> None:
        self.ended, self.ended_wall = line.data["status"], line.wall


_HANDLERS: dict[str, Callable[[_Reader, Line], None]] = {
    "plan": _Reader.on_plan,
    "phase-begin": _Reader.on_phase,
    "job-begin": _Reader.on_job,
    "case-begin": _Reader.on_case_begin,
    "case-end": _Reader.on_case_end,
    "health": _Reader.on_health,
    "health-state": _Reader.on_health_state,
    "node-state": _Reader.on_node_state,
    "gate": _Reader.on_gate,
    "gate-override": _Reader.on_gate_override,
    "stop": _Reader.on_stop,
    "alarm": _Reader.on_alarm,
    "evidence": _Reader.on_evidence,
    "parameter": _Reader.on_parameter,
    "reboot-planned": _Reader.on_reboot_planned,
    "continued": _Reader.on_continued,
    "build": _Reader.on_build,
    "campaign": _Reader.on_build,
    "problem": _Reader.on_problem,
    "campaign-end": _Reader.on_end,
}


def _versions(data: dict[str, Any]) -> dict[str, str]:
    return {str(name): str(value) for name, value in data["versions"].items()}


def events_of(line: Line) -> Iterator[HealthEvent]:
    """Yield what a line ``health`` tells."""
    for event in line.data["events"]:
        wall, told = event.get("wall", line.wall), "wall" not in event
        yield HealthEvent(event["kind"], event["message"], event["evidence"], line.data["case"] or "", wall, told)


def read(folder: Path, reading: journal.Reading) -> _Reader:
    """Return who took all lines of a journal, with what it heard."""
    reader = _Reader(folder)
    reader.take_all(reading)
    return reader


class Retold(NamedTuple):
    """What the journal alone tells, without a look at any test's files."""

    reboots: tuple[Reboot, ...]
    attempts: tuple[Attempt, ...]


def retold(folder: Path, lines: Sequence[Line]) -> Retold:
    """Return what these lines of a journal tell."""
    reader = read(folder, journal.Reading(tuple(lines), ()))
    return Retold(tuple(reader.reboots), tuple(reader.told()))
