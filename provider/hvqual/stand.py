# SPDX-License-Identifier: GPL-2.0-or-later
"""The guests of one case on their node, whatever the host configuration: one or many, done with all at once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Callable, TypeVar

from provider.hvqual import together
from provider.hvqual.case import Case
from provider.hvqual.expect import Expect
from provider.hvqual.guests import Guest
from provider.hvqual.heartbeat import Observer
from provider.hvqual.libvirt_truth import Libvirt
from provider.hvqual.operations import power
from provider.hvqual.steps import matches_model, pass_time
from provider.hvqual.warm import Warm, WarmError

T = TypeVar("T")


@dataclass(frozen=True)
class Stand:
    """The guests of a case on their node, and what the case asks of them."""

    guests: list[Guest]
    expect: Expect
    truth: Libvirt
    observer: Observer
    case: Case[Any]
    warm: Warm | None = field(default=None)

    def each(self, operation: Callable[..., T], *rest: Any) -> list[T]:
        """Do *operation* (guest, expect, *rest) on every guest at once; what fails is told by the VM's name."""
        return together.each(self.guests, lambda guest: operation(guest, self.expect, *rest))

    def bring_up(self) -> None:
        """
        Have every guest running, with its canaries laid; observe warm_guests (count): 0 when they were booted.

        Warm guests go on where a save file left them, which takes a fraction of a boot (decision 16). What cannot be
        restored is booted, and why is recorded.
        """
        restored = self._restored()
        if not restored:
            self.each(power.start)
        self.each(power.agent_there)
        self.case.record.observe("warm_guests", restored, "count")
        self.arm()

    def arm(self) -> None:
        """Lay the canaries in every guest."""
        together.each(self.guests, lambda guest: guest.witness.arm())

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Hold every guest to a life without break for the length of the block and the check after it (`Witness`)."""
        start = time.monotonic()
        yield
        together.each(self.guests, lambda guest: guest.witness.conclude(start))

    def hold(self) -> None:
        """Let the guests live for a while; what they do meanwhile is what the witness is asked about."""
        with self.case.record.step("hold"):
            pass_time(self.case.wanted.hold)

    def matches_model(self) -> None:
        """Observe guest_matches: each guest sees the CPUs, memory, disks and network interfaces that it was given."""
        together.each(self.guests, lambda guest: matches_model(guest, self.case.record))

    def _restored(self) -> int:
        """Return how many guests go on from their save files: all of them or none."""
        if self.warm is None:
            return 0
        record = self.case.record
        try:
            with record.step("warm up"):
                told = self.warm.bring_up(self)
        except WarmError as error:
            record.capability("warm guests", str(error), ok=False)
            self.warm.forget()
            self.each(power.off)
            return 0
        record.capability("warm guests", told, ok=True)
        return len(self.guests)
