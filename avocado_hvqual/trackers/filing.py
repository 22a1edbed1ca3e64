# SPDX-License-Identifier: GPL-2.0-or-later
"""
Filing one fingerprint: the server is asked, then it is filed, or its report is told of a further campaign, or nothing is done.

Never twice. A note is on disk before anything is sent. After a kill in between, or an answer that never came, the server is asked; as
long as it does not show the report nothing is sent again before `settle` seconds have gone by, in which a slow server may yet take
what it was given. The alias, which is unique on a server, holds also against another desk that files at the same moment.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Optional

from avocado_hvqual.errors import TrackerError
from avocado_hvqual.trackers.draft import Draft
from avocado_hvqual.trackers.notes import Note, Notes
from avocado_hvqual.trackers.server import ALIAS_TAKEN, Bugzilla, Found, RefusedError, UnknownError

SETTLE = 900.0
"""Seconds: longer than a web server lets a request run."""


class Act(enum.Enum):
    """What is to be done about one fingerprint."""

    FILE = "file"
    COMMENT = "comment"
    NOTHING = "nothing"
    WAIT = "wait"


class Decision(NamedTuple):
    """What is to be done, the report that is there, and why."""

    act: Act
    report: Optional[Found]
    sentence: str


@dataclass(frozen=True)
class Filer:
    """Files drafts on one server."""

    server: Bugzilla
    notes: Notes
    now: Callable[[], float]
    settle: float = SETTLE

    def decide(self, draft: Draft, note: Note) -> Decision:
        """Return what is to be done about *draft*; nothing is sent and nothing is written."""
        try:
            return self._decided(draft, note)
        except UnknownError as error:
            message = f"{error} It was only asked; nothing was sent."
            raise RefusedError(message) from None

    def _decided(self, draft: Draft, note: Note) -> Decision:
        found = self.server.find(draft.fingerprint) or self._noted(note)
        if found is None:
            if self._is_fresh(note.begun):
                return Decision(Act.WAIT, None, f"{self._unsettled('a filing')} The server does not show it.")
            return Decision(Act.FILE, None, "is not on the server")
        where = f"is bug {found.bug} ({found.state}), {self.server.link(found.bug)}"
        if draft.sighting not in note.sightings or note.sightings[draft.sighting] is not None:
            return self._told(draft, note, found, where)
        return Decision(Act.NOTHING, found, f"{where}; it was told of this campaign")

    def _told(self, draft: Draft, note: Note, found: Found, where: str) -> Decision:
        if self.server.is_told(found.bug, draft.sighting):
            return Decision(Act.NOTHING, found, f"{where}; it was told of this campaign")
        if self._is_fresh(note.sightings.get(draft.sighting)):
            return Decision(Act.WAIT, found, f"{where}. {self._unsettled('a comment')} The server does not show it.")
        return Decision(Act.COMMENT, found, where)

    def carry_out(self, draft: Draft, note: Note) -> Decision:
        """Do what is to be done and return what was done; *note* is held by this process alone."""
        decision = self.decide(draft, note)
        if decision.act is Act.FILE:
            return self._file(draft, note)
        if decision.report is None:
            return decision
        # What the server shows is so, whatever became of the process that sent it.
        note.bug, note.begun = decision.report.bug, None
        if decision.act is Act.COMMENT:
            note.sightings[draft.sighting] = self.now()
            self.notes.write(note)
            self._send_comment(draft, note, decision.report)
            decision = decision._replace(sentence=f"{decision.sentence}; it is told of this campaign now")
        if decision.act is not Act.WAIT:
            note.sightings[draft.sighting] = None
        self.notes.write(note)
        return decision

    def _file(self, draft: Draft, note: Note) -> Decision:
        note.begun = self.now()
        self.notes.write(note)
        try:
            bug = self.server.create(draft)
        except RefusedError as error:
            note.begun = None
            self.notes.write(note)
            if error.code != ALIAS_TAKEN:
                raise
            message = (
                f"{error} Somebody has filed '{draft.fingerprint}' in the meantime, or where this key does not see it."
            )
            raise RefusedError(message, error.code) from None
        note.bug, note.begun = bug, None
        note.sightings[draft.sighting] = None
        self.notes.write(note)
        return Decision(
            Act.FILE, Found(bug, "NEW"), f"is filed as bug {bug}, {self.server.link(bug)}{self._doubt(draft)}"
        )

    def _doubt(self, draft: Draft) -> str:
        """Return what to say when a report that was just filed is not found by its mark; it is filed in any case."""
        try:
            kept = self.server.find(draft.fingerprint) is not None
        except TrackerError as error:
            return f"; whether the server kept its mark is not known: {error}"
        lost = "; the server did not keep its mark (whiteboard, alias): only this desk's note keeps it from being filed twice"
        return "" if kept else lost

    def _send_comment(self, draft: Draft, note: Note, report: Found) -> None:
        try:
            self.server.comment(report.bug, draft.comment)
        except RefusedError:
            del note.sightings[draft.sighting]
            self.notes.write(note)
            raise

    def _noted(self, note: Note) -> Optional[Found]:
        """Return the report that this desk filed, when the search does not find it: it lost its mark, or is hidden from the key."""
        if note.bug is None:
            return None
        return self.server.get(note.bug) or Found(note.bug, "which the server does not show")

    def _is_fresh(self, begun: Optional[float]) -> bool:
        return begun is not None and abs(self.now() - begun) < self.settle

    def _unsettled(self, what: str) -> str:
        return f"{what.capitalize()} was begun within the last {self.settle:g} s, and nobody knows whether it arrived."
