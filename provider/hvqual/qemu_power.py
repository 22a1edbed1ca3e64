# SPDX-License-Identifier: GPL-2.0-or-later
"""
What is done to guests below libvirt, through avocado-vt's own QEMU VM object and QEMU's monitor; each is held against host and guest.

The names of what is observed are those of the same operations through libvirt (`operations`), so that a fault can be placed.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable

from avocado.core.exceptions import TestError
from virttest import qemu_monitor, virt_vm

from provider.hvqual import host_process, shares
from provider.hvqual.guests import Guest
from provider.hvqual.operations import boots, freed, halt, late
from provider.hvqual.record import Record
from provider.hvqual.steps import fail
from provider.hvqual.wait import WaitTimeoutError, until

SETTLE = 10.0
CREATE = 120.0


class Below:
    """Acts and expectations of one case on guests without libvirt."""

    def __init__(self, record: Record) -> None:
        """Write what is seen to *record*."""
        self._record = record
        self._turn = threading.Lock()

    @property
    def record(self) -> Record:
        """The record of the case."""
        return self._record

    def act(self, guest: Guest, what: str, do: Callable[[], Any]) -> float:
        """Do it; return when it was called (monotonic seconds). Refused by QEMU: TestFail with its own words."""
        called = time.monotonic()
        try:
            do()
        except (virt_vm.VMError, qemu_monitor.MonitorError) as error:
            fail(self.record, "operation-refused", f"QEMU refused to {what} '{guest.name}': {error}", guest.name)
        return called

    def status(self, guest: Guest, wanted: str) -> None:
        """Expect QEMU's monitor to call the guest *wanted* (running, paused)."""
        told: dict[str, Any] = {}

        def reached() -> bool:
            told.update(guest.vm.monitor.get_status())
            return told.get("status") == wanted

        try:
            until(reached, SETTLE, f"'{guest.name}' to be {wanted}")
        except WaitTimeoutError:
            message = f"'{guest.name}' should be {wanted} after the operation reported success; QEMU says {told}."
            fail(self.record, "wrong-result", message, guest.name)

    def one_process(self, guest: Guest) -> int:
        """Expect exactly one QEMU of the guest, as it was asked for; its pid. vCPUs that may come and go are counted by threads."""
        found = host_process.emulators(guest.name)
        wanted = (guest.spec.vcpus, guest.spec.boot_kib // 1024)
        grows = bool(guest.spec.growth.max_vcpus)
        seen = [(one.pid, len(shares.vcpu_threads(one.pid)) if grows else one.vcpus, one.memory_mib) for one in found]
        if len(seen) != 1 or seen[0][1:] != wanted:
            message = (
                f"'{guest.name}' should be one QEMU with (CPUs, MiB) {wanted}; the host has (pid, CPUs, MiB) {seen}."
            )
            fail(self.record, "wrong-result", message, guest.name)
        return found[0].pid

    def no_process(self, guest: Guest) -> None:
        """Expect that no process of the guest is left."""
        try:
            until(lambda: not host_process.emulators(guest.name), SETTLE, f"QEMU of '{guest.name}' to go")
        except WaitTimeoutError as error:
            fail(self.record, "leftover", f"'{guest.name}' is off, but not its QEMU. {error}", guest.name)

    def make(self, guest: Guest, do: Callable[[], Any]) -> None:
        """
        Have avocado-vt make the QEMU process of the guest by *do*.

        One guest after the other up to the process, as avocado-vt's table of network interfaces is not safe between threads; what it
        does from there on, mostly waiting, is done beside the others.
        """
        with ThreadPoolExecutor(1) as pool:
            with self._turn:
                made = pool.submit(do)
                there = lambda: made.done() or host_process.emulators(guest.name)  # noqa: E731 - it is said once
                until(there, CREATE, f"the QEMU of '{guest.name}'")
            try:
                made.result()
            except virt_vm.VMCreateError as error:
                fail(self.record, "operation-refused", f"QEMU did not start '{guest.name}': {error}", guest.name)
            except virt_vm.VMError as error:
                # avocado-vt could not even compose the command line: nothing was asked of the product.
                message = f"The QEMU command of '{guest.name}' could not be made: {error}"
                raise TestError(message) from None
        guest.on = True


def start(guest: Guest, below: Below) -> str:
    """
    Start QEMU; observe guest_ready (s) from the moment at which the guest's CPUs are let run. Return its boot_id.

    avocado-vt 113 starts QEMU with -S and takes about 3 s to open its monitors: that is no time of the product.
    """
    guest.take_up()
    with below.record.step("start", guest.name):
        below.make(guest, guest.vm.create)
        below.one_process(guest)
        began = below.act(guest, "run", lambda: guest.vm.monitor.cmd("cont"))
        below.status(guest, "running")
        beat = guest.witness.ready(began, guest.wanted.ready_timeout)
        below.record.observe("guest_ready", beat.at - began, "s", guest.name)
    return beat.boot_id


def destroy(guest: Guest, below: Below) -> None:
    """Pull the guest's power; expect that its host holds nothing of it; observe destroy_time (s)."""
    with below.record.step("destroy", guest.name):
        held = freed.held(guest, below)
        called = time.monotonic()
        off(guest)
        freed.frees(guest, below, held)
        below.record.observe("destroy_time", time.monotonic() - called, "s", guest.name)


def off(guest: Guest) -> None:
    """Have the guest off, however it is, and what avocado-vt keeps of it on the host gone."""
    guest.hang_up()
    was_on, guest.on = guest.on, False
    if was_on or guest.vm.is_alive():
        guest.vm.destroy(gracefully=False, free_mac_addresses=False)


def shutdown(guest: Guest, below: Below) -> None:
    """Press the guest's power button; observe shutdown_time (s) to the end of its QEMU, and powered_off."""
    record, limit = below.record, guest.wanted.shutdown_timeout
    with record.step("shut down", guest.name):
        guest.hang_up()
        held, said = freed.held(guest, below), late.power_downs(guest)
        called = below.act(guest, "shut down", lambda: guest.vm.monitor.cmd("system_powerdown"))
        try:
            until(lambda: not host_process.emulators(guest.name), limit, f"'{guest.name}' to shut down")
        except WaitTimeoutError as error:
            message = f"The power button of '{guest.name}' was pressed, but its QEMU runs on. {error}"
            fail(record, "wrong-result", message, guest.name)
        record.observe("shutdown_time", time.monotonic() - called, "s", guest.name)
        off(guest)
        freed.frees(guest, below, held)
        late.powered_off(guest, record, said)


def down_and_up(guest: Guest, below: Below, _mode: str) -> None:
    """Shut the guest down with a write that is not synced yet, and start it; observe late_write_kept and what both steps do."""
    written = late.write(guest, below.record)
    shutdown(guest, below)
    start(guest, below)
    late.kept(guest, below.record, written)
    guest.witness.rearm()


def paused_and_resumed(guest: Guest, below: Below, seconds: float) -> None:
    """Pause the guest for *seconds* and let it go on; observe what `halt.still` and `halt.missed_nothing` do."""
    halt.uses_time(guest, below)
    with below.record.step("suspend", guest.name):
        called = below.act(guest, "pause", lambda: guest.vm.monitor.cmd("stop"))
        below.status(guest, "paused")
        began = time.monotonic()
        below.record.observe("suspend_time", began - called, "s", guest.name)
    halt.still(guest, below, seconds)
    with below.record.step("resume", guest.name):
        ended = below.act(guest, "resume", lambda: guest.vm.monitor.cmd("cont"))
        below.status(guest, "running")
        halt.goes_on(guest, below, ended, "resume_time")
    halt.missed_nothing(guest, below, "silence_while_paused", began, ended)


def _reset(guest: Guest, below: Below) -> float:
    return below.act(guest, "reset", lambda: guest.vm.monitor.cmd("system_reset"))


def _from_within(guest: Guest, _below: Below) -> float:
    called = time.monotonic()
    guest.ask(boots.FROM_WITHIN)
    return called


def _destroy_start(guest: Guest, below: Below) -> float:
    called = time.monotonic()
    destroy(guest, below)
    start(guest, below)
    return called


METHODS: dict[str, Callable[[Guest, Below], float]] = {
    "reset": _reset,
    "guest": _from_within,
    "destroy_start": _destroy_start,
}


def restart(guest: Guest, below: Below, method: str) -> None:
    """
    Restart the guest by *method*; observe restart_downtime (s), boots_per_restart and reboot_events (count).

    Observe boots_again, disk_canary and guest_panics too; the canaries are laid anew.
    """
    record = below.record
    with record.step(f"restart by {method}", guest.name), boots.labelled(record, guest, method):
        pid, boot, another = below.one_process(guest), boots.now(guest), method == "destroy_start"
        guest.vm.monitor.clear_events()
        called = METHODS[method](guest, below)
        boots.downtime(guest, record, boot, called)
        if (below.one_process(guest) == pid) is another:
            message = f"'{guest.name}' should run in {'another' if another else 'the same'} process after a restart by {method}."
            fail(record, "wrong-result", message, guest.name)
        boots.one_more(guest, record, boot, called)
        if not another:
            told = [event for event in guest.vm.monitor.get_events() if event["event"] == "RESET"]
            record.observe("reboot_events", len(told), "count", guest.name)
