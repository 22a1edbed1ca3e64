# SPDX-License-Identifier: GPL-2.0-or-later
"""Pins that change while guests work: another place each time, and what fails meanwhile is not lost."""

import contextlib
import random

import pytest
from avocado.core.exceptions import TestCancel, TestError, TestFail

from provider.hvqual import pins
from provider.hvqual.operations import repin
from provider.hvqual.steps import pass_time
from provider.tests.test_pinning import places


class Record:
    """What is told to it."""

    def __init__(self):
        self.seen, self.seeds, self.problems = {}, [], []

    def observe(self, name, value, _unit, _vm=None):
        self.seen[name] = value

    def seed(self, seed, about):
        self.seeds.append((seed, about))

    def problem(self, what, message, _vm=None):
        self.problems.append((what, message))

    def step(self, *_):
        return contextlib.nullcontext()


def test_each_turn_is_another_place():
    """A pin that does nothing is noticed by the first turn."""
    dice = random.Random("x")
    live = places({0}, {0, 1})
    for _ in range(50):
        vcpu, place = repin.chosen(dice, live, (0, 1))
        assert place
        assert place <= {0, 1}
        assert place != live[vcpu]


def test_one_cpu_leaves_no_other():
    """Nothing would ever change there."""
    with pytest.raises(TestError, match="1 CPUs for guests"):
        repin.chosen(random.Random("x"), places({0}), (0,))


class Pinning:
    """Pins of one guest of two CPUs; *fails* is what the told pins raise."""

    def __init__(self, fails=None):
        self.record, self.node, self.fails, self.plans = Record(), (0, 1), fails, []
        self.guests = [type("Guest", (), {"name": "hvq-1", "spec": type("Spec", (), {"vcpus": 2})()})()]
        self.stand, self.pinned = self, {"hvq-1": repin.Pinned(places({0}, {1}), places({0}, {1}))}

    def each(self, operation):
        return [operation(guest, type("Expect", (), {"record": self.record})()) for guest in self.guests]

    def live(self, plan):
        self.plans.append(plan)

    def told(self):
        if self.fails:
            raise self.fails


@pytest.fixture
def shuffle(monkeypatch):
    """Have turns recorded instead of done."""
    turns = []

    def turn(_guest, _expect, pinned, to):
        turns.append(to)
        pinned.live = tuple(to[1] if number == to[0] else old for number, old in enumerate(pinned.live))

    monkeypatch.setattr(repin, "_turn", turn)
    monkeypatch.setattr(repin, "told", lambda *_: None)
    monkeypatch.setattr(repin, "stays", lambda *_: None)
    monkeypatch.setattr(repin, "places_of", lambda _, live: live)
    monkeypatch.setattr(repin.residency, "watch", lambda live, each: pass_time(each) or live)
    return turns


def test_a_seed_gives_the_same_pins_again(shuffle):
    """What was chosen can be done again."""
    found = []
    for _ in range(2):
        pinning = Pinning()
        repin.shuffled(pinning, "abc", 0.1, 0.02)
        assert pinning.record.seeds[0][0] == "abc"
        assert pinning.record.seen["repins"] == len(shuffle) >= 2
        found.append(shuffle[:2])
        shuffle.clear()
    assert found[0] == found[1]


def test_without_a_seed_one_is_drawn_and_told(shuffle):
    """So it can be given."""
    pinning = Pinning()
    repin.shuffled(pinning, "", 0.02, 0.01)
    assert len(pinning.record.seeds[0][0]) == 8
    assert shuffle


def test_plans_go_round_while_the_block_lasts():
    """Each at least once, however short it is."""
    pinning = Pinning()
    with repin.moving(pinning, ("a", "b"), 0):
        pass
    assert pinning.plans[:2] == ["a", "b"]
    assert pinning.record.seen["repins"] == len(pinning.plans) >= 2


def test_what_fails_beside_the_block_fails_the_case():
    """An exception in a thread that nobody asks would be lost, and the case would pass."""
    with pytest.raises(TestFail, match="is not pinned"), repin.moving(Pinning(TestFail("is not pinned")), ("a",), 0.01):
        pass


def test_what_fails_in_the_block_ends_the_moving():
    """And it is what is told."""
    pinning = Pinning()
    with pytest.raises(TestFail, match="in the block"), repin.moving(pinning, ("a",), 0.01):
        raise TestFail("in the block")  # noqa: EM101 - it is what is looked for
    assert pinning.plans


def test_a_node_without_a_choice_is_told(monkeypatch):
    """Its pins would all be the same."""
    monkeypatch.setattr(pins, "node_cpus", lambda _: (5,))
    told = []
    record = type("Record", (), {"capability": lambda _, name, reason, *, ok: told.append((name, reason, ok))})()
    case = type("Case", (), {"wanted": None, "record": record})()
    with pytest.raises(TestCancel, match="several host CPUs for guests"):
        pins.require_choice(case)
    assert told == [("several host CPUs for guests", "they are 5", False)]
