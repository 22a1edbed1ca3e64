# SPDX-License-Identifier: GPL-2.0-or-later
"""One case, two ways to run a guest: through libvirt, or QEMU alone; the avocado-vt type decides, the case reads the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Callable, Protocol

from avocado.core.exceptions import TestError

from provider.hvqual.case import Case
from provider.hvqual.guests import Guest

Operation = Callable[..., Any]
"""What is done to one guest: (guest, who expects, *rest)."""


class AnyStand(Protocol):
    """The guests of a case on their node under either backend (`stand.Stand`, `qemu_guests.QemuStand`)."""

    @property
    def guests(self) -> list[Guest]:
        """The guests, each described and none started."""

    def each(self, operation: Operation, *rest: Any) -> list[Any]:
        """Do *operation* on every guest at once; what fails is told by the VM's name."""

    def bring_up(self) -> None:
        """Have every guest running, with its canaries laid."""

    def watched(self) -> Any:
        """Hold every guest to a life without break for the length of the block."""

    def hold(self) -> None:
        """Let the guests live for a while."""

    def matches_model(self) -> None:
        """Observe guest_matches of each guest."""


@dataclass(frozen=True)
class Backend:
    """The guests of a case, and how the same is done to them under this backend; what is observed has the same names."""

    stand: AnyStand
    start: Operation
    destroy: Operation
    down_and_up: Operation
    """(..., mode): shut down with an unsynced write, start, expect it kept; below libvirt by the power button, whatever the mode."""
    paused_and_resumed: Operation
    """(..., seconds)."""
    restart: Operation
    """(..., method): reset, guest and destroy_start under both."""
    saved_and_restored: Operation
    same_session: Operation


@contextmanager
def guests_of(case: Case[Any]) -> Iterator[Backend]:
    """Hold the case's guests ready to be started, under the backend of its vt-type."""
    kinds = {"libvirt": _through_libvirt, "qemu": _below_libvirt}
    vm_type = str(case.params["vm_type"])
    if vm_type not in kinds:
        message = f"'vm_type' is '{vm_type}'; these guests are known under {' and '.join(map(repr, kinds))}."
        raise TestError(message)
    with kinds[vm_type](case) as backend:
        yield backend


@contextmanager
def _through_libvirt(case: Case[Any]) -> Iterator[Backend]:
    # Imported here: a QEMU-only node need not have libvirt-python.
    from provider.hvqual import libvirt_guests
    from provider.hvqual.operations import pause, power, restart, saving

    with libvirt_guests.defined(case) as stand:
        yield Backend(
            stand,
            start=power.start,
            destroy=power.destroy,
            down_and_up=power.down_and_up,
            paused_and_resumed=pause.paused_and_resumed,
            restart=restart.restart,
            saved_and_restored=saving.saved_and_restored,
            same_session=saving.same_session,
        )


@contextmanager
def _below_libvirt(case: Case[Any]) -> Iterator[Backend]:
    from provider.hvqual import qemu_guests, qemu_power, qemu_saving

    with qemu_guests.described(case) as stand:
        yield Backend(
            stand,
            start=qemu_power.start,
            destroy=qemu_power.destroy,
            down_and_up=qemu_power.down_and_up,
            paused_and_resumed=qemu_power.paused_and_resumed,
            restart=qemu_power.restart,
            saved_and_restored=qemu_saving.saved_and_restored,
            same_session=qemu_saving.same_session,
        )
