# SPDX-License-Identifier: GPL-2.0-or-later
"""Walks are repeatable and legal, sequences are checked before anything is done, a failed walk gets shorter."""

import dataclasses

import pytest
from avocado.core.exceptions import TestError, TestFail
from hypothesis import given
from hypothesis import strategies as st

from provider.hvqual import engine
from provider.hvqual.engine import OFF, PAUSED, RUNNING, Model, Operation
from provider.hvqual.operations.table import LIFECYCLE


def moved(state):
    """Return the effect that only moves a VM to *state*."""
    return lambda model: model.to(state=state)


TABLE = {
    operation.name: operation
    for operation in (
        Operation("start", lambda model: model.state == OFF, lambda *_: None, Model.booted),
        Operation("stop", lambda model: model.state == RUNNING, lambda *_: None, moved(OFF)),
        Operation("pause", lambda model: model.state == RUNNING, lambda *_: None, moved(PAUSED)),
        Operation("go on", lambda model: model.state == PAUSED, lambda *_: None, moved(RUNNING)),
        Operation("look", lambda model: model.state == RUNNING, lambda *_: None, lambda model: model),
    )
}


class FakeTruth:
    """What libvirt says: the state that the test sets."""

    said = OFF

    def state(self, _name):
        """Return state and reason."""
        return self.said, "some reason"


class FakeRecord:
    """Keeps problems."""

    def __init__(self):
        self.problems = []

    def problem(self, what, message, _vm=None):
        """Keep one."""
        self.problems.append((what, message))


class FakeGuest:
    """A guest whose witness notes what it is asked."""

    name = "hvq-1"
    armed = None

    def __init__(self):
        self.asked = []
        self.witness = self

    def check(self):
        """Note a check of the same boot."""
        self.asked.append("check")

    def rearm(self):
        """Note a check of another boot."""
        self.asked.append("rearm")


@dataclasses.dataclass
class FakeExpect:
    """Expectations over the fakes."""

    truth: FakeTruth
    record: FakeRecord


def honest(truth):
    """Return the table in which each operation does what it says to *truth*."""

    def doing(operation):
        def act(_guest, _expect):
            truth.said = operation.effect(Model(state=truth.said)).state

        return dataclasses.replace(operation, act=act)

    return {name: doing(operation) for name, operation in TABLE.items()}


@given(st.text(max_size=20), st.integers(1, 60))
def test_a_walk_is_legal_and_repeatable(seed, length):
    """The same seed gives the same walk, and each step of it is allowed at its place, in the real table too."""
    for table in (TABLE, LIFECYCLE):
        names = engine.walk(seed, length, table)
        assert names == engine.walk(seed, length, table)
        assert len(names) == length
        assert engine.sequence_is_allowed(names, table)


def test_walks_reach_every_operation():
    """No operation of the real table is out of a walk's reach: a row nobody can walk to would never be tried."""
    seen = {name for seed in range(30) for name in engine.walk(str(seed), 30, LIFECYCLE)}
    assert seen == set(LIFECYCLE)


def test_another_seed_is_another_walk():
    """Thirty steps of two seeds are not the same."""
    assert engine.walk("1", 30, TABLE) != engine.walk("2", 30, TABLE)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "empty"),
        ("start fly", "Operation 2 of the sequence, 'fly', is none of"),
        ("start start", "Operation 2 of the sequence, 'start', is not allowed"),
        ("stop", "Operation 1 of the sequence"),
    ],
)
def test_a_wrong_sequence_is_refused(text, told):
    """A sequence is checked whole before the first operation is done."""
    with pytest.raises(TestError, match=told):
        engine.sequence(text, TABLE)


def test_the_guest_is_held_to_the_model_after_each_step():
    """Another boot is expected after a start, the same one after all else, and nobody asks a guest that is off."""
    guest, truth = FakeGuest(), FakeTruth()
    player = engine.Player(guest, FakeExpect(truth, FakeRecord()), honest(truth))
    player.play(["start", "look", "pause", "go on", "stop", "start"])
    assert guest.asked == ["rearm", "check", "check", "rearm"]


def test_canaries_that_an_operation_laid_are_not_laid_again():
    """After an operation that itself held the guest to another boot, the guest is checked against that boot."""
    guest, truth = FakeGuest(), FakeTruth()
    table = honest(truth)

    def reset(_guest, _expect):
        guest.armed = object()

    table["reset"] = Operation("reset", lambda model: model.state == RUNNING, reset, Model.booted)
    engine.Player(guest, FakeExpect(truth, FakeRecord()), table).play(["start", "reset"])
    assert guest.asked == ["rearm", "check"]


def test_an_operation_that_does_nothing_is_noticed():
    """A stop that reports success over a running guest fails, with the operations so far in the message."""
    guest, truth = FakeGuest(), FakeTruth()
    table = {**honest(truth), "stop": TABLE["stop"]}
    expect = FakeExpect(truth, FakeRecord())
    with pytest.raises(TestFail, match="should be shut off after start stop; it is running"):
        engine.Player(guest, expect, table).play(["start", "stop"])
    assert expect.record.problems[0][0] == "wrong-result"


def test_an_illegal_step_is_an_error_of_the_test():
    """The player does not do what the model forbids."""
    truth = FakeTruth()
    with pytest.raises(TestError, match="'stop' is not allowed"):
        engine.Player(FakeGuest(), FakeExpect(truth, FakeRecord()), honest(truth)).play(["stop"])


@given(st.integers(0, 10_000))
def test_a_failed_walk_gets_shorter_and_still_fails(seed):
    """Where 'pause' before a 'stop' is the cause, what is left holds it, is legal, ends the same and is not longer."""
    names = engine.walk(str(seed), 40, TABLE)

    def fails(some):
        return any(name == "pause" for name in some[:-1]) and some[-1] == names[-1]

    short = engine.shortest(names, TABLE, fails, 500)
    if not fails(names):
        assert short == ()
        return
    assert fails(short)
    assert len(short) <= len(names)
    assert engine.sequence_is_allowed(short, TABLE)
    assert short.count("pause") <= 2


def test_what_does_not_fail_again_is_not_explained():
    """Nothing is claimed of a failure that does not come back, and without a replay nothing is tried."""
    assert engine.shortest(["start"], TABLE, lambda _: False, 5) == ()
    assert engine.shortest(["start"], TABLE, lambda _: True, 0) == ()
