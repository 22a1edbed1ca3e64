# SPDX-License-Identifier: GPL-2.0-or-later
"""
``load_campaign(folder) -> CampaignRecord``: the journal and the files of its tests, as they were found.

Never an exception for what a kill, a crash or a hand did to them: it becomes `damage` (of the journal or of one test's file), which
the judge tells. JournalError only when the folder holds no journal whose first line can be read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Optional

from avocado_hvqual import journal_reading as journal
from avocado_hvqual import observations
from avocado_hvqual.errors import JournalError
from avocado_hvqual.model.observation import CaseTrace
from avocado_hvqual.model.plan import Plan
from avocado_hvqual.model.record import Attempt, CampaignRecord, Gate, Header, HealthEvent, ParameterChange, Vouched

Line = journal.Line


class _Reader:
    """Takes the lines of a journal in their order and ends as a CampaignRecord."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.plan: Optional[Plan] = None
        self.attempts: list[Attempt] = []
        self.running: dict[str, tuple[int, str, float]] = {}
        self.jobs: list[str] = []
        self.health: list[HealthEvent] = []
        self.doubts: list[tuple[str, str]] = []
        self.known: dict[str, int] = {}
        self.leftovers: list[tuple[str, str]] = []
        self.gates: list[Gate] = []
        self.parameters: list[ParameterChange] = []
        self.problems: list[str] = []
        self.reboots: list[tuple[str, str]] = []
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
            during = next(reversed(list(self.running)), "")
            where = (
                f"during '{during}'"
                if during
                else f"between cases, after '{self.latest}'"
                if self.latest
                else "before the first case"
            )
            self.reboots.append((during, f"The node booted anew {where}, and nobody had announced it."))
        if line.boot_id != self.boot_id:
            self.reboot_is_planned = False
        self.boot_id, self.wall = line.boot_id, line.wall
        handle = _HANDLERS.get(line.kind)
        if handle is not None:
            handle(self, line)

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
        self.jobs.append(str(line.data["job_dir"]))

    def on_case_begin(self, line: Line) -> None:
        case = str(line.data["case"])
        self.ended, self.latest = "", case
        self.never_ended(case)
        self.running[case] = (line.number, line.data["logdir"] or "", line.wall)

    def never_ended(self, case: str) -> None:
        """Note the try of a case that began and of which no end was told."""
        if case in self.running:
            number, logdir, began = self.running.pop(case)
            self.attempts.append(Attempt(case, None, number, logdir=logdir, began=began))

    def on_case_end(self, line: Line) -> None:
        data, case = line.data, str(line.data["case"])
        self.ended, self.latest = "", case
        _number, logdir, began = self.running.pop(case, (0, "", 0.0))
        self.attempts.append(
            Attempt(
                case,
                data["status"],
                line.number,
                data["fail_reason"],
                data["fail_class"],
                data["logdir"] or logdir,
                float(data["time"]),
                began=began,
            )
        )

    def on_health(self, line: Line) -> None:
        case = line.data["case"] or ""
        for event in line.data["events"]:
            wall, told = event.get("wall", line.wall), "wall" not in event
            self.health.append(HealthEvent(event["kind"], event["message"], event["evidence"], case, wall, told))

    def on_health_state(self, line: Line) -> None:
        case = line.data["case"] or ""
        if line.data["state"] == "known":
            self.known[case] = line.number
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
    "problem": _Reader.on_problem,
    "campaign-end": _Reader.on_end,
}


def _header(line: Line) -> Header:
    data = line.data
    versions = {str(name): str(value) for name, value in data["versions"].items()}
    return Header(
        data["id"], data["profile"], data["selection"], data["lab"], data["node"], data["command"], versions, line.wall
    )


def _traced(folder: Path, attempt: Attempt) -> Attempt:
    """Return the attempt with what its test wrote, if it wrote anything."""
    if not attempt.logdir or not (folder / attempt.logdir / observations.FILE).exists():
        return attempt
    trace, damage = _trace(folder, attempt.logdir)
    if trace is not None and trace.case != attempt.case:
        damage = f"{attempt.logdir}/{observations.FILE}:1: belongs to the case '{trace.case}', not to '{attempt.case}'."
        trace = None
    return replace(attempt, trace=trace, damage=damage)


def _trace(folder: Path, logdir: str) -> tuple[Optional[CaseTrace], str]:
    path = folder / logdir / observations.FILE
    try:
        return observations.read(path, logdir), ""
    except JournalError as error:
        return None, str(error).replace(str(path), f"{logdir}/{observations.FILE}")


def _unheard(reader: _Reader) -> Iterator[Attempt]:
    """Yield the attempts of which only the test itself wrote: avocado's start event is no barrier, a kill may come before it."""
    heard = {os.path.normpath(reader.folder / attempt.logdir) for attempt in reader.attempts if attempt.logdir}
    heard |= {os.path.normpath(reader.folder / logdir) for _number, logdir, _began in reader.running.values() if logdir}
    found: set[Path] = set()
    for job in reader.jobs or ["."]:
        found |= set((reader.folder / job / "test-results").glob(f"*/{observations.FILE}"))
    for path in sorted(found):
        if os.path.normpath(path.parent) in heard:
            continue
        logdir = os.path.relpath(path.parent, reader.folder)
        trace, damage = _trace(reader.folder, logdir)
        if trace is not None or damage:
            yield Attempt(trace.case if trace else "", None, 0, logdir=logdir, trace=trace, damage=damage)


def load_campaign(folder: Path) -> CampaignRecord:
    """Return what a campaign left in *folder*."""
    reading = journal.read(folder)
    if not reading.lines or reading.lines[0].kind != "campaign":
        message = f"{folder}/{(*reading.damage, f'{journal.FILE}:1: there is no whole line.')[0]} There is no campaign to judge."
        raise JournalError(message)
    reader = _Reader(folder)
    reader.take_all(reading)
    torn = f"The journal's last line is torn ({len(reading.torn)} characters): its writer was killed."
    return CampaignRecord(
        header=_header(reading.lines[0]),
        planned=reader.plan.cases if reader.plan else (),
        required=reader.plan.required if reader.plan else (),
        attempts=(*(_traced(folder, attempt) for attempt in reader.attempts), *_unheard(reader)),
        health=tuple(reader.health),
        doubts=tuple(reader.doubts),
        known=_known(reader),
        leftovers=tuple(reader.leftovers),
        gates=tuple(reader.gates),
        parameters=tuple(reader.parameters),
        problems=tuple(reader.problems),
        reboots=tuple(reader.reboots),
        ended=reader.ended,
        ended_wall=reader.ended_wall or reader.wall,
        damage=(*reading.damage, *reader.damage),
        notes=(*dict.fromkeys(reader.notes), *((torn,) if reading.torn else ())),
        vouched=tuple(reader.vouched.values()),
    )


def _known(reader: _Reader) -> frozenset[str]:
    """Return the cases whose every attempt somebody watched: told for the case itself, or for everything up to a later line."""
    last = {attempt.case: attempt.line for attempt in reader.attempts}
    everything = reader.known.get("", 0)
    return frozenset(case for case, number in last.items() if case in reader.known or number < everything)


__all__ = ["load_campaign"]
