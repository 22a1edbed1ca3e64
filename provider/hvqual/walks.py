# SPDX-License-Identifier: GPL-2.0-or-later
"""Sequences and walks played on the guests of a stand, all at once; a failed one leaves what is needed to do it again."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from avocado.core.exceptions import TestBaseException, TestError

from provider.hvqual import engine, post_mortem, stalled, together
from provider.hvqual.expect import Expect
from provider.hvqual.operations import power
from provider.hvqual.record import Record

if TYPE_CHECKING:
    from provider.hvqual.guests import Guest
    from provider.hvqual.stand import Stand

EVIDENCE = "failed-walk"
TURNS = 10_000
START = engine.Model()


@dataclass(frozen=True)
class Walks:
    """
    What is played on the guests of *stand*: operations of *table*; a failure is replayed *replays* times at the most.

    *held* is asked of a guest after each operation that leaves it running; *model* is what the guests are before the first one.
    """

    stand: Stand
    table: engine.Table
    replays: int
    held: engine.Held | None = None
    model: engine.Model = START

    def sequence(self, text: str, rounds: int) -> None:
        """Play the operations that *text* names on every guest, *rounds* times over."""
        names = engine.sequence(" ".join([text] * rounds), self.table, self.model)
        self.play({guest.name: names for guest in self.stand.guests})

    def random(self, seed: str, steps: int, among: Sequence[str] = ()) -> None:
        """Play *steps* operations chosen at random on each guest, with *among* in them; an empty *seed* is drawn, the one used recorded."""
        used = seed or secrets.token_hex(4)
        self.stand.expect.record.seed(used, f"{steps} operations on each of {len(self.stand.guests)} VMs")
        numbered = enumerate(self.stand.guests, 1)
        self.play({guest.name: self._chosen(f"{used}/{number}", steps, among) for number, guest in numbered})

    def _chosen(self, seed: str, steps: int, among: Sequence[str]) -> tuple[str, ...]:
        """Return the first walk of *seed* that has all *among* it; TestError when none of many has."""
        for turn in range(TURNS):
            names = engine.walk(f"{seed}/{turn}" if turn else seed, steps, self.table, self.model)
            if set(among) <= set(names):
                return names
        message = f"No walk of {steps} operations was found that has {', '.join(among)} in it. Raise hv_steps."
        raise TestError(message)

    def play(self, names: dict[str, tuple[str, ...]]) -> None:
        """
        Play on each guest the operations that *names* has for it; observe operations_done (count) of each.

        When one fails the evidence tells what was done and the shortest sequence found that fails again; the failure
        itself is raised as it was.
        """

        def one(guest: Guest) -> None:
            player = engine.Player(guest, self.stand.expect, self.table, self.model, self.held)
            try:
                player.play(names[guest.name])
            except TestBaseException as error:
                self._explain(guest, player.done, error)
                raise
            finally:
                self.stand.expect.record.observe("operations_done", len(player.done), "count", guest.name)

        together.each(self.stand.guests, one)

    def _explain(self, guest: Guest, done: Sequence[str], error: BaseException) -> None:
        # To do it again needs another QEMU: what became of this one is told before.
        stalled.keep(guest, self.stand.expect.record)
        post_mortem.crashed(guest, self.stand.expect.record)
        again = engine.shortest(done, self.table, lambda names: self._fails(guest, names), self.replays, self.model)
        told = "Not replayed." if not self.replays else "It did not fail again: look at what else happened then."
        if again:
            told = f"It fails again with: {' '.join(again)}"
        text = f"VM: {guest.name}\nDone: {' '.join(done)}\nFailed: {error}\n{told}\n"
        record = self.stand.expect.record
        record.evidence(f"{EVIDENCE}-{guest.name}.txt", text, f"how {guest.name} fails again: {told}")

    def _fails(self, guest: Guest, names: Sequence[str]) -> bool:
        """Return whether *names*, played on the guest from off, fail; what is seen goes to a record of its own."""
        expect, witness = self.stand.expect, guest.witness
        record, kept = Record(_free_folder(Path(self.stand.case.test.logdir), guest.name)), witness.record
        power.off(guest, expect)
        witness.record, witness.armed = record, None
        try:
            again = Expect(expect.truth, record, expect.uri, expect.timeout)
            if self.model.state == engine.RUNNING:
                power.start(guest, again)
                witness.arm()
            engine.Player(guest, again, self.table, self.model, self.held).play(names)
        except TestBaseException:
            return True
        finally:
            witness.record = kept
        return False


def _free_folder(logdir: Path, name: str) -> Path:
    """Return a new folder for the record of a replay."""
    number = 1
    while (folder := logdir / f"replay-{name}-{number}").exists():
        number += 1
    folder.mkdir()
    return folder
