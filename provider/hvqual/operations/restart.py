# SPDX-License-Identifier: GPL-2.0-or-later
"""
Restarting a guest, in each of the ways in which a cloud's customer or operator does it.

All but the last go on in the same QEMU process and under the same domain id; each is one other boot, not two.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Callable

from avocado.core.exceptions import TestError
from virttest import virsh

from provider.hvqual.expect import Expect
from provider.hvqual.guests import Guest
from provider.hvqual.libvirt_truth import REBOOTED
from provider.hvqual.operations import boots, power
from provider.hvqual.steps import fail
from provider.hvqual.wait import WaitTimeoutError, until


@dataclass(frozen=True)
class Run:
    """One run of a guest: its domain id in libvirt, its process on the host."""

    domain_id: int
    pid: int


def _virsh_reboot(mode: str) -> Callable[[Guest, Expect], float]:
    def reboot(guest: Guest, expect: Expect) -> float:
        if mode == "agent":
            power.agent_there(guest, expect)
        return expect.act(virsh.reboot, guest.name, f"--mode {mode}")

    return reboot


def _reset(guest: Guest, expect: Expect) -> float:
    return expect.act(virsh.reset, guest.name)


def _from_within(guest: Guest, _expect: Expect) -> float:
    called = time.monotonic()
    guest.ask(boots.FROM_WITHIN)
    return called


def _destroy_start(guest: Guest, expect: Expect) -> float:
    called = time.monotonic()
    power.destroy(guest, expect)
    power.start(guest, expect)
    return called


SETTLE = 10.0
METHODS: dict[str, Callable[[Guest, Expect], float]] = {
    "acpi": _virsh_reboot("acpi"),
    "agent": _virsh_reboot("agent"),
    "reset": _reset,
    "guest": _from_within,
    "destroy_start": _destroy_start,
}
# Whose process and domain id do not outlive the restart.
ANOTHER_RUN = ("destroy_start",)


def known(methods: tuple[str, ...], table: tuple[str, ...] = tuple(METHODS)) -> tuple[str, ...]:
    """Return *methods*; TestError when there is none or one that is not in *table*."""
    if not methods or set(methods) - set(table):
        message = f"hv_restart_methods is '{' '.join(methods)}'; give some of: {' '.join(table)}."
        raise TestError(message)
    return methods


def restart(guest: Guest, expect: Expect, method: str) -> None:
    """
    Restart the guest by *method*, as `once` does; observe boots_per_restart (count), boots_again, disk_canary and guest_panics too.

    The canaries are laid anew.
    """
    with boots.labelled(expect.record, guest, method):
        boot, called = once(guest, expect, method)
        boots.one_more(guest, expect.record, boot, called)


def once(guest: Guest, expect: Expect, method: str) -> tuple[str, float]:
    """
    Restart the guest by *method*; observe restart_downtime (s) and reboot_events (count). Its canaries are left alone.

    Return the boot_id of before and when the operation was called.
    """
    record = expect.record
    with record.step(f"restart by {method}", guest.name):
        run, boot = _run_of(guest, expect), boots.now(guest)
        if method != "guest":
            guest.hang_up()
        called = METHODS[method](guest, expect)
        if method not in ANOTHER_RUN:
            # A reset asks nobody; a guest that is asked takes its time.
            _takes_hold(guest, expect, boot, called, SETTLE if method == "reset" else guest.wanted.shutdown_timeout)
        boots.downtime(guest, record, boot, called)
        _holds_run(guest, expect, method, run)
        if method not in ANOTHER_RUN:
            told = [event for event in expect.truth.events(guest.name, called) if event.event == REBOOTED]
            record.observe("reboot_events", len(told), "count", guest.name)
    return boot, called


def _run_of(guest: Guest, expect: Expect) -> Run:
    return Run(expect.truth.lookup(guest.name).ID(), expect.one_process(guest))


def _takes_hold(guest: Guest, expect: Expect, boot: str, called: float, patience: float) -> None:
    """Expect that the guest leaves its boot: the operation's success alone is no restart."""

    def left() -> bool:
        told = any(event.event == REBOOTED for event in expect.truth.events(guest.name, called))
        return told or bool(boots.since(guest, called) - {boot})

    try:
        until(left, patience, f"another boot of '{guest.name}'")
    except WaitTimeoutError as error:
        message = f"The restart of '{guest.name}' was accepted, but it goes on with the boot {boot}. {error}"
        fail(expect.record, "wrong-result", message, guest.name)


def _holds_run(guest: Guest, expect: Expect, method: str, before: Run) -> None:
    """Expect the domain to run, as the same domain in the same process or as another, as the method is meant."""
    after, state = _run_of(guest, expect), expect.truth.state(guest.name)[0]
    same = method not in ANOTHER_RUN
    found = (state, after.domain_id == before.domain_id, after.pid == before.pid)
    if found != ("running", same, same):
        message = (
            f"'{guest.name}' should run on as {'the same' if same else 'another'} domain and process after the restart by "
            f"{method}; it is {state}, domain id {before.domain_id} -> {after.domain_id}, pid {before.pid} -> {after.pid}."
        )
        fail(expect.record, "wrong-result", message, guest.name)
