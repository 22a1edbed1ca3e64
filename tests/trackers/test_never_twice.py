# SPDX-License-Identifier: GPL-2.0-or-later
"""Never twice: over any order of kills, lost answers, slow servers, campaigns and desks that anybody could think of, and others."""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from avocado_hvqual.errors import TrackerError
from avocado_hvqual.trackers import filing
from avocado_hvqual.trackers.draft import Draft
from avocado_hvqual.trackers.filing import ALIAS_TAKEN, SETTLE, Filer
from avocado_hvqual.trackers.notes import Notes
from avocado_hvqual.trackers.server import Found, RefusedError, UnknownError

URL, NAME = "https://bugs.example.org", "hv1-0123456789ab"
OUTCOMES = ("answered", "refused", "killed before", "killed after", "lost before", "lost after", "taken later")


class Killed(BaseException):
    """The process is gone."""


class Server:
    """A tracker in memory, with the clock of the world, which takes some requests later than it was asked."""

    def __init__(self):
        self.now, self.bugs, self.later = 1e9, [], []
        self.outcome, self.delay, self.searchable, self.unique = "answered", 0.0, True, False

    def find(self, _name):
        if not self.searchable:
            message = "it cannot be asked"
            raise UnknownError(message)
        return Found(1, "NEW") if self.bugs else None

    def get(self, bug):
        return Found(bug, "NEW") if self.bugs else None

    def link(self, bug):
        return f"{URL}/{bug}"

    def is_told(self, bug, line):
        return any(line in text for text in self.bugs[bug - 1])

    def create(self, draft):
        def take():
            if self.unique and self.bugs:
                message = "alias taken"
                raise RefusedError(message, ALIAS_TAKEN)
            self.bugs.append([draft.sighting])

        self.send(take)
        return len(self.bugs)

    def comment(self, bug, text):
        self.send(lambda: self.bugs[bug - 1].append(text))

    def send(self, take):
        kind = self.outcome
        if kind == "refused":
            message = "no"
            raise RefusedError(message)
        if kind == "killed before":
            raise Killed
        if kind in {"answered", "killed after", "lost after"}:
            take()
        if kind == "taken later":
            self.later.append((self.now + self.delay, take))
        if kind == "killed after":
            raise Killed
        if kind != "answered":
            message = "no answer"
            raise UnknownError(message)

    def wait(self, seconds):
        self.now += seconds
        due, self.later = (
            [one for one in self.later if one[0] <= self.now],
            [one for one in self.later if one[0] > self.now],
        )
        for _at, take in due:
            try:
                take()
            except RefusedError:
                continue


def draft_of(campaign):
    line = f"Sighting: {NAME} in campaign {campaign}"
    return Draft(NAME, {}, line, line, line)


class World(RuleBasedStateMachine):
    """One fault, seen by campaigns, filed from one desk whose processes die."""

    desks = 1
    delays = OUTCOMES

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="hvq-"))
        self.server = Server()
        self.server.unique = self.desks > 1
        self.filers = [
            Filer(self.server, Notes(self.folder / str(desk), URL), lambda: self.server.now)
            for desk in range(self.desks)
        ]

    @rule(
        data=st.data(),
        campaign=st.sampled_from(["c-1", "c-2"]),
        delay=st.floats(0.1, SETTLE * 0.99),
        searchable=st.sampled_from([True, True, True, False]),
    )
    def file(self, data, campaign, delay, searchable):
        self.server.outcome = data.draw(st.sampled_from(self.delays))
        self.server.delay, self.server.searchable = delay, searchable
        filer = data.draw(st.sampled_from(self.filers))
        self.attempt(filer, campaign)

    def attempt(self, filer, campaign):
        try:
            with filer.notes.hold(NAME) as note:
                return filer.carry_out(draft_of(campaign), note).act
        except (Killed, TrackerError):
            return None

    @rule(seconds=st.sampled_from([0.5, 60.0, SETTLE * 0.5, SETTLE, SETTLE * 3]))
    def time_goes_by(self, seconds):
        self.server.wait(seconds)

    @invariant()
    def never_twice(self):
        assert len(self.server.bugs) <= 1, "it is there twice"
        for bug in self.server.bugs:
            assert len(bug) == len(set(bug)), "a campaign was told of twice"

    def teardown(self):
        try:
            self.in_the_end_it_is_there()
        finally:
            shutil.rmtree(self.folder)

    def in_the_end_it_is_there(self):
        """Whatever happened, a server that answers gets it."""
        self.server.wait(SETTLE * 3)
        self.server.outcome, self.server.searchable = "answered", True
        for campaign in ("c-1", "c-2"):
            self.attempt(self.filers[0], campaign)
        self.never_twice()
        assert len(self.server.bugs) == 1
        assert {draft_of(campaign).sighting for campaign in ("c-1", "c-2")} <= set(self.server.bugs[0])


class TwoDesks(World):
    """Two desks without each other's notes; their servers' late deeds are what the alias is for, which comments do not have."""

    desks = 2
    delays = OUTCOMES[:-1]


QUICK = settings(max_examples=150, stateful_step_count=12, deadline=None)


@pytest.mark.parametrize("world", [World, TwoDesks])
def test_never_twice_and_once_in_the_end(world):
    run_state_machine_as_test(world, settings=QUICK)


@pytest.mark.parametrize("mend", ["begun", "search", "comments"])
def test_the_worlds_notice(monkeypatch, mend):
    """Without each of the three things that keep a report single, one of the worlds has it twice."""
    if mend == "begun":
        monkeypatch.setattr(filing.Filer, "_is_fresh", lambda _self, _begun: False)
    if mend == "search":
        monkeypatch.setattr(Server, "find", lambda _self, _name: None)
    if mend == "comments":
        monkeypatch.setattr(Server, "is_told", lambda _self, _bug, _line: False)
    quick = settings(QUICK, max_examples=500, database=None, phases=[Phase.generate], report_multiple_bugs=False)
    with pytest.raises(AssertionError, match="twice"):
        run_state_machine_as_test(World, settings=quick)
