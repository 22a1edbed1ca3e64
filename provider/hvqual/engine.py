# SPDX-License-Identifier: GPL-2.0-or-later
"""
The operation engine: named operations on a model of a VM, written sequences and seeded random walks.

Each operation says when it is allowed and what it makes of the model; after each step the guest is held against the
model: libvirt's state, the same boot or another one, the canaries (requirement 6.2: "in different sequence and combinations").
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Callable

from avocado.core.exceptions import TestBaseException, TestError

from provider.hvqual.steps import fail

if TYPE_CHECKING:
    from provider.hvqual.expect import Expect
    from provider.hvqual.guests import Guest

RUNNING, PAUSED, OFF, ASLEEP = "running", "paused", "shut off", "pmsuspended"


@dataclass(frozen=True)
class Model:
    """A VM as it must be after the steps so far."""

    state: str = OFF
    """In libvirt's words."""
    boots: int = 0
    """How often it booted: another number, another boot_id."""
    saved: bool = False
    """It goes on from a managed save image at its next start."""
    live: Mapping[str, Any] = field(default_factory=dict)
    """What operations of other categories keep here of the VM as it runs, such as plugged CPUs: gone when it is off."""

    def to(self, **changes: Any) -> Model:
        """Return the model with *changes*."""
        return dataclasses.replace(self, **changes)

    def off(self) -> Model:
        """Return the model after its power went."""
        return self.to(state=OFF, live={})

    def booted(self) -> Model:
        """Return the model after one more boot."""
        return self.to(state=RUNNING, boots=self.boots + 1, saved=False)


@dataclass(frozen=True)
class Operation:
    """One thing that a user can do to a VM: by name, when it is allowed, how it is done, what it makes of the model."""

    name: str
    allowed: Callable[[Model], bool]
    act: Callable[[Guest, Expect], Any]
    effect: Callable[[Model], Model]


Table = Mapping[str, Operation]
Held = Callable[["Guest", "Expect"], Any]
"""What a case holds its guest to after each operation, besides the witness: what it was given, for instance."""


def sequence(text: str, table: Table, start: Model | None = None) -> tuple[str, ...]:
    """Return the operations that *text* names (words); TestError when one is unknown or not allowed at its place."""
    names, model = tuple(text.split()), start or Model()
    for number, name in enumerate(names, 1):
        if name not in table:
            message = f"Operation {number} of the sequence, '{name}', is none of {', '.join(table)}."
            raise TestError(message)
        if not table[name].allowed(model):
            message = f"Operation {number} of the sequence, '{name}', is not allowed on a VM that is {model}."
            raise TestError(message)
        model = table[name].effect(model)
    if not names:
        message = "The sequence is empty: it would prove nothing. Name its operations."
        raise TestError(message)
    return names


def walk(seed: str, length: int, table: Table, start: Model | None = None) -> tuple[str, ...]:
    """
    Return *length* operations chosen at random, each allowed at its place; the same for the same seed and table.

    Every operation of the table is as likely as any other that is allowed. TestError where no operation is.
    """
    choice, model, names = random.Random(seed), start or Model(), []  # noqa: S311 - repeatable, not secret
    for _ in range(length):
        able = [name for name in sorted(table) if table[name].allowed(model)]
        if not able:
            message = f"No operation of the table is allowed on a VM that is {model}."
            raise TestError(message)
        names.append(choice.choice(able))
        model = table[names[-1]].effect(model)
    return tuple(names)


class Player:
    """Plays operations on one guest and holds it against the model after each."""

    def __init__(
        self, guest: Guest, expect: Expect, table: Table, model: Model | None = None, held: Held | None = None
    ) -> None:
        """Begin with a guest that is as *model* says (off and never booted); *held* is asked after each step that leaves it running."""
        self.guest, self.expect, self.table, self.held = guest, expect, table, held
        self.model = model or Model()
        self.done: list[str] = []

    def play(self, names: Iterable[str]) -> None:
        """Do the operations in order; the failure of one is raised as it is, `done` ends with its name."""
        for name in names:
            operation = self.table[name]
            if not operation.allowed(self.model):
                message = f"'{name}' is not allowed on '{self.guest.name}', which is {self.model}."
                raise TestError(message)
            self.done.append(name)
            before, armed = self.model, self.guest.witness.armed
            self.model = operation.effect(before)
            operation.act(self.guest, self.expect)
            # An operation may have laid the canaries anew itself, having held the guest to another boot.
            another = self.model.boots != before.boots and self.guest.witness.armed is armed
            self._hold(another_boot=another)

    def _hold(self, *, another_boot: bool) -> None:
        """Hold the guest against the model: state by libvirt, and when it runs boot and canaries by itself."""
        found = self.expect.truth.state(self.guest.name)[0]
        if found != self.model.state:
            message = f"'{self.guest.name}' should be {self.model.state} after {' '.join(self.done)}; it is {found}."
            fail(self.expect.record, "wrong-result", message, self.guest.name)
        if self.model.state != RUNNING:
            return
        if another_boot:
            self.guest.witness.rearm()
        else:
            self.guest.witness.check()
        if self.held:
            self.held(self.guest, self.expect)


def shortest(
    names: Sequence[str],
    table: Table,
    fails: Callable[[Sequence[str]], bool],
    tries: int,
    start: Model | None = None,
) -> tuple[str, ...]:
    """
    Return the shortest sequence found in *tries* replays that fails again, or () when the whole does not fail again.

    Single operations, then pairs, are left out where what is left is still allowed; the last one, which failed, stays.
    """
    if tries < 1 or not fails(names):
        return ()
    kept, left, place = list(names), tries - 1, 0
    while left and place < len(kept) - 1:
        shorter = _without(kept, place, table, start)
        if shorter is None:
            place += 1
            continue
        left -= 1
        if fails(shorter):
            kept = shorter
        else:
            place += 1
    return tuple(kept)


def _without(names: Sequence[str], place: int, table: Table, start: Model | None) -> list[str] | None:
    """Return *names* without the fewest operations from *place* on that leave an allowed sequence, None when there is none."""
    for count in range(1, len(names) - place):
        left = [*names[:place], *names[place + count :]]
        if sequence_is_allowed(left, table, start):
            return left
    return None


def sequence_is_allowed(names: Sequence[str], table: Table, start: Model | None = None) -> bool:
    """Return whether each of *names* is allowed at its place, from *start* (a VM that is off)."""
    model = start or Model()
    for name in names:
        if not table[name].allowed(model):
            return False
        model = table[name].effect(model)
    return True


def outcome(play: Callable[[], Any]) -> Exception | None:
    """Return the outcome with which *play* failed, None when it did not."""
    try:
        play()
    except TestBaseException as error:
        failed: Exception = error
        return failed
    return None
