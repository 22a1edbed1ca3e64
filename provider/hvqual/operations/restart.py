# SPDX-License-Identifier: GPL-2.0-or-later
"""
Restarting a guest, in each of the ways in which a cloud's customer or operator does it.

All but the last go on in the same QEMU process and under the same domain id; each is one other boot, not two.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Callable

from avocado.core.exceptions import TestError
from virttest import virsh

from provider.hvqual.heartbeat import NETWORK, SERIAL
from provider.hvqual.libvirt_truth import REBOOTED
from provider.hvqual.operations import power
from provider.hvqual.steps import fail
from provider.hvqual.wait import WaitTimeoutError, until

if TYPE_CHECKING:
    from provider.hvqual.expect import Expect
    from provider.hvqual.guests import Guest
    from provider.hvqual.record import Record

SETTLE = 10.0
# From within: the session is gone before the guest is.
FROM_WITHIN = "setsid sh -c 'usleep 300000; exec reboot' </dev/null >/dev/null 2>&1 &"


@dataclass(frozen=True)
class Run:
    """One run of a guest: its domain id in libvirt, its process on the host, its boot."""

    domain_id: int
    pid: int
    boot_id: str


def _virsh_reboot(mode: str) -> Callable[[Guest, Expect], float]:
    return lambda guest, expect: expect.act(virsh.reboot, guest.name, f"--mode {mode}")


def _reset(guest: Guest, expect: Expect) -> float:
    return expect.act(virsh.reset, guest.name)


def _from_within(guest: Guest, _expect: Expect) -> float:
    called = time.monotonic()
    guest.ask(FROM_WITHIN)
    return called


def _destroy_start(guest: Guest, expect: Expect) -> float:
    called = time.monotonic()
    power.destroy(guest, expect)
    power.start(guest, expect)
    return called


METHODS: dict[str, Callable[[Guest, Expect], float]] = {
    "acpi": _virsh_reboot("acpi"),
    "agent": _virsh_reboot("agent"),
    "reset": _reset,
    "guest": _from_within,
    "destroy_start": _destroy_start,
}
# Whose process and domain id do not outlive the restart.
ANOTHER_RUN = ("destroy_start",)


def known(methods: tuple[str, ...]) -> tuple[str, ...]:
    """Return *methods*; TestError when there is none or one that nobody knows."""
    unknown = [method for method in methods if method not in METHODS]
    if unknown or not methods:
        message = f"hv_restart_methods is '{' '.join(methods)}'; give some of: {' '.join(METHODS)}."
        raise TestError(message)
    return methods


def restart(guest: Guest, expect: Expect, method: str) -> None:
    """
    Restart the guest by *method*; observe restart_downtime (s), boots_per_restart and reboot_events (count).

    Observe boots_again, disk_canary and guest_panics too; the canaries are laid anew.
    """
    record = expect.record
    with record.step(f"restart by {method}", guest.name), _labelled(record, guest, method):
        before = _run_of(guest, expect, _boot_now(guest))
        if method != "guest":
            guest.hang_up()
        called = METHODS[method](guest, expect)
        if method not in ANOTHER_RUN:
            _takes_hold(guest, expect, before, called)
        beat = guest.witness.ready(called, guest.wanted.ready_timeout, other_than=before.boot_id)
        guest.hang_up()
        last = [old for old in guest.witness.observer.beats(guest.name, SERIAL) if old.boot_id == before.boot_id][-1]
        record.observe("restart_downtime", beat.at - last.at, "s", guest.name)
        _holds_run(guest, expect, method, before, beat.boot_id)
        guest.witness.rearm()
        record.observe("boots_per_restart", len(_boots(guest, called) - {before.boot_id}), "count", guest.name)
        if method not in ANOTHER_RUN:
            told = [event for event in expect.truth.events(guest.name, called) if event.event == REBOOTED]
            record.observe("reboot_events", len(told), "count", guest.name)


@contextmanager
def _labelled(record: Record, guest: Guest, method: str) -> Iterator[None]:
    """Tell what is seen in the block by the method, beside the guest's own label."""
    before = record.labels.get(guest.name, "")
    record.labels[guest.name] = f"{before} {method}".strip()
    yield
    record.labels[guest.name] = before


def _boot_now(guest: Guest) -> str:
    """Return the boot_id of the guest's last heartbeat."""
    return guest.witness.observer.beats(guest.name, SERIAL)[-1].boot_id


def _boots(guest: Guest, since: float) -> set[str]:
    """Return the boot_ids heard on both channels after *since*."""
    return {
        beat.boot_id
        for channel in (SERIAL, NETWORK)
        for beat in guest.witness.observer.beats(guest.name, channel, since)
    }


def _run_of(guest: Guest, expect: Expect, boot_id: str) -> Run:
    return Run(expect.truth.lookup(guest.name).ID(), expect.one_process(guest), boot_id)


def _takes_hold(guest: Guest, expect: Expect, before: Run, called: float) -> None:
    """Expect that the guest leaves its boot: the operation's success alone is no restart."""

    def left() -> bool:
        told = any(event.event == REBOOTED for event in expect.truth.events(guest.name, called))
        return told or bool(_boots(guest, called) - {before.boot_id})

    try:
        until(left, guest.wanted.shutdown_timeout, f"another boot of '{guest.name}'")
    except WaitTimeoutError as error:
        message = f"The restart of '{guest.name}' was accepted, but it goes on with the boot {before.boot_id}. {error}"
        fail(expect.record, "wrong-result", message, guest.name)


def _holds_run(guest: Guest, expect: Expect, method: str, before: Run, boot_id: str) -> None:
    """Expect the domain to run, as the same domain in the same process or as another, as the method is meant."""
    after, state = _run_of(guest, expect, boot_id), expect.truth.state(guest.name)[0]
    same = (after.domain_id == before.domain_id, after.pid == before.pid)
    wanted = (method not in ANOTHER_RUN,) * 2
    if (state, *same) != ("running", *wanted):
        message = (
            f"'{guest.name}' should run on {'as the same' if wanted[0] else 'as another'} domain and process after the restart by "
            f"{method}; it is {state}, domain id {before.domain_id} -> {after.domain_id}, pid {before.pid} -> {after.pid}."
        )
        fail(expect.record, "wrong-result", message, guest.name)
