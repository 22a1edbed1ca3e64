# SPDX-License-Identifier: GPL-2.0-or-later
"""
A campaign that goes on in the same folder and the same journal: after a break (resume), or after a fix (rerun).

Everything is taken from its journal: the plan, what was tried, how it ended. What ran when it broke is tried again, but not for ever:
a case that takes the host down with it each time would keep a node booting until somebody comes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from avocado_hvqual import catalog, profiles, replan
from avocado_hvqual.campaign import abandoned, facts, last_words, parts
from avocado_hvqual.campaign import journal as journals
from avocado_hvqual.campaign.campaign import Campaign
from avocado_hvqual.campaign.folder import Folder
from avocado_hvqual.campaign.journal import Journal, Line
from avocado_hvqual.campaign.progress import Progress
from avocado_hvqual.errors import JournalError, PlanError
from avocado_hvqual.health import copies
from avocado_hvqual.loader import load_campaign
from avocado_hvqual.model.case import Phase
from avocado_hvqual.model.plan import Plan
from avocado_hvqual.model.record import Attempt, CampaignRecord
from avocado_hvqual.plan import Made, Ready

PLAIN_JOB = "job-"
"""With this begins the id of what a plain avocado job wrote."""
KILLED_BY_US = "HvqualWatchdog"
"""The fail class of a test that did not end in its time: it was ended, the campaign was not broken."""
SHOWING = ("PASS", "FAIL", "WARN")
"""What avocado says of a try that shows something of the node."""


class Past(NamedTuple):
    """A campaign as its folder tells it."""

    folder: Folder
    lines: tuple[Line, ...]
    record: CampaignRecord

    @property
    def is_finished(self) -> bool:
        """Whether it came to its end: everything of the plan had its turn."""
        return self.record.ended == "finished"

    @property
    def entered(self) -> frozenset[Phase]:
        """The phases that were begun."""
        return frozenset(Phase(line.data["phase"]) for line in self.lines if line.kind == "phase-begin")

    @property
    def part(self) -> parts.Part:
        """Its last part."""
        return parts.last(self.lines)


def read(path: Path) -> Past:
    """Return the campaign in a folder; JournalError or PlanError, in one sentence, when it cannot go on there."""
    path = path.absolute()
    reading = journals.read(path)
    record = None if reading.damage or not reading.lines else load_campaign(path)
    damage = reading.damage or (record.damage if record else ())
    if record is None and not damage:
        damage = (f"{journals.FILE}:1: there is no whole line.",)
    if damage or record is None:
        message = f"{path}/{damage[0]} A campaign is not continued on that; start a new one."
        raise JournalError(message)
    if record.header.id.startswith(PLAIN_JOB):
        message = (
            f"'{path}' is a plain avocado job, not a campaign of 'avocado hvqual run': start it again with avocado."
        )
        raise PlanError(message)
    return Past(Folder(path, record.header.id), reading.lines, record)


def demand_same_node(past: Past) -> None:
    """Return when the campaign is of this node; PlanError otherwise: the results of two nodes make no verdict."""
    before = past.record.header.node
    now = facts.node()
    for name, what in (("id", "node"), ("machine_id", "installation")):
        was, has = str(before.get(name, "")), str(now.get(name, ""))
        if was != has and ((was and has) or name == "id"):
            message = (
                f"'{past.folder.path}' is the campaign of the {what} '{was}', and this is '{has}': go on there, "
                "or begin a new campaign here."
            )
            raise PlanError(message)


def plan_of(past: Past) -> Made:
    """Return the campaign's plan, ready to run with the installed cfgs; PlanError when they do not hold it any more."""
    record = past.record
    profile = profiles.load(record.header.profile)
    plan = Plan(profile.name, record.planned, record.required)
    backends = sorted({case.key.vt_type for case in record.planned})
    cases = catalog.load(profile.name, backends)
    return replan.again(plan, profile, cases, record.parameters, part=record.header.selection)


def close(past: Past, journal: Journal, say: Callable[[str], None]) -> Past:
    """Write the last words of a part whose process is gone into the journal; return the campaign with them."""
    words = last_words.collect(past.folder.path, past.lines)
    last_words.write(journal, words)
    for note in words.notes:
        say(note)
    return read(past.folder.path)


def open_here(say: Callable[[str], None]) -> list[Path]:
    """
    Return the folders of this host's campaigns that broke off, or that went down with a reboot which they had announced.

    One that was interrupted by hand is not among them: somebody meant it.
    """
    found = []
    for _note, folder in abandoned.folders():
        if not folder.joinpath(journals.FILE).exists():
            continue
        try:
            past = read(folder)
            demand_same_node(past)
        except PlanError:
            continue
        except JournalError as error:
            say(f"left: {error}")
            continue
        if not past.part.closed or past.part.rebooting:
            found.append(folder)
    return found


class Missing(NamedTuple):
    """What a campaign still has to run: the cases, and those that were running too often when it broke."""

    todo: frozenset[str]
    given_up: tuple[str, ...]


def missing(record: CampaignRecord, repeat: int) -> Missing:
    """
    Return what has to be run after a break.

    A case has been run when its last try came to its end and somebody watched the node meanwhile. One that was cut off by the break, or
    of which nobody can say what befell the node, is tried again *repeat* times; one that was interrupted by hand always.
    """
    tries: dict[str, list[Attempt]] = {}
    for attempt in record.attempts:
        tries.setdefault(attempt.case, []).append(attempt)
    doubted = {case for case, _reason in record.doubts}
    todo, given_up = set(), []
    for key in (str(case.key) for case in record.planned):
        made = tries.get(key, [])
        since = _since_good(made, doubted=bool(doubted & {"", key}))
        if made and not since:
            continue
        if sum(not _by_hand(attempt) for attempt in since) > repeat:
            given_up.append(key)
        else:
            todo.add(key)
    return Missing(frozenset(todo), tuple(given_up))


def _since_good(tries: Sequence[Attempt], *, doubted: bool) -> list[Attempt]:
    """Return the tries after the last one that needs no other."""
    good = [place for place, attempt in enumerate(tries) if _is_good(attempt, doubted=doubted)]
    return list(tries[good[-1] + 1 if good else 0 :])


def _is_good(attempt: Attempt, *, doubted: bool) -> bool:
    if attempt.status is None or _by_hand(attempt):
        return False
    # What was not established shows nothing of the node anyway; of what is in doubt for good another try changes nothing.
    return attempt.watched or doubted or attempt.status not in SHOWING


def _by_hand(attempt: Attempt) -> bool:
    return attempt.status == "INTERRUPTED" and attempt.fail_class != KILLED_BY_US


class Cause(NamedTuple):
    """Why a campaign goes on: the verb, the command line, and the status of its end when all went well."""

    verb: str
    command: str
    status: str = "finished"


class Going(NamedTuple):
    """What a campaign goes on with: its past, its plan, the cases to run, why, and its journal, which is open."""

    past: Past
    made: Made
    todo: frozenset[str]
    cause: Cause
    journal: Journal


class Continued(Campaign):
    """A campaign that goes on, with some of its cases."""

    going: Going

    @classmethod
    def of(cls, going: Going, progress: Progress, **more: Any) -> Continued:
        """Return the campaign that goes on so; *more* is what any campaign may be asked besides."""
        past = going.past
        copy = copies.of(past.part.number + 1)
        it = cls(going.made, past.folder, going.cause.command, progress, kernel_log=copy, **more)
        it.going = going
        return it

    def journal(self) -> Journal:
        """Return the journal, which has been open since nobody else may write to it."""
        return self.going.journal

    def begin(self, journal: Journal) -> None:
        """Write down that the campaign goes on, with what, and on which build."""
        ordered = [str(case.planned.key) for case in self.made.cases if self.wanted(case)]
        journal.append("continued", {"verb": self.going.cause.verb, "command": self.command, "cases": ordered})
        journal.append("build", {"versions": facts.versions()})

    def wanted(self, case: Ready) -> bool:
        """Return whether the case is one of those that are to be run."""
        return str(case.planned.key) in self.going.todo

    def entered(self, phase: Phase) -> bool:
        """Return whether the campaign was in the phase before it broke."""
        return phase in self.going.past.entered

    def _status(self) -> str:
        status = super()._status()
        return self.going.cause.status if status == "finished" else status
