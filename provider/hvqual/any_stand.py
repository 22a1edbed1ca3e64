# SPDX-License-Identifier: GPL-2.0-or-later
"""What a case asks of its guests all at once, in the same words under libvirt (`stand`) and below it (`qemu_guests`)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Callable, Generic, TypeVar

from provider.hvqual import together
from provider.hvqual.case import Case
from provider.hvqual.guests import Guest
from provider.hvqual.steps import matches_model, pass_time

T = TypeVar("T")
#: By whom operations are held to what they promise: `expect.Expect`, below libvirt `qemu_power.Below`.
E = TypeVar("E")


@dataclass(frozen=True)
class AnyStand(Generic[E]):
    """The guests of a case on their node, and what the case asks of them."""

    guests: list[Guest]
    expect: E
    case: Case[Any]

    def each(self, operation: Callable[..., T], *rest: Any) -> list[T]:
        """
        Do *operation* (guest, expect, *rest) on every guest, hv_at_once of them at a time; what fails is told by the VM's name.

        By default all at once, as a cloud does it.
        """
        wanted = self.case.wanted
        return together.each(self.guests, lambda guest: operation(guest, self.expect, *rest), wanted.at_once)

    def all_at_once(self, operation: Callable[..., T], *rest: Any) -> list[T]:
        """Do *operation* on every guest at once, as a cloud does it, where hv_at_once is meant for other steps of the case."""
        return together.each(self.guests, lambda guest: operation(guest, self.expect, *rest))

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
