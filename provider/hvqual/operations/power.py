# SPDX-License-Identifier: GPL-2.0-or-later
"""
Power: start, shut down, destroy. Each acts as a user would, and is held against libvirt, host and guest.

An operation that reports success and does nothing fails here.
"""

from __future__ import annotations

from virttest import virsh

from provider.hvqual.expect import Expect
from provider.hvqual.guests import Guest
from provider.hvqual.steps import fail
from provider.hvqual.wait import WaitTimeoutError, until


def start(guest: Guest, expect: Expect) -> str:
    """Start the guest and wait until its userspace runs; observe domain_running and guest_ready (s). Return its boot_id."""
    record = expect.record
    with record.step("start", guest.name):
        called = expect.act(virsh.start, guest.name)
        expect.state(guest.name, "running", "booted")
        guest.on = True
        running = expect.events(guest.name, called, [("Started", "booted")])
        record.observe("domain_running", running.at - called, "s", guest.name)
        beat = guest.witness.ready(called, guest.wanted.ready_timeout)
        record.observe("guest_ready", beat.at - called, "s", guest.name)
        expect.one_process(guest)
    return beat.boot_id


def shutdown(guest: Guest, expect: Expect) -> None:
    """Ask the guest to shut down by its power button; observe shutdown_time (s) to the end of its QEMU."""
    record, limit = expect.record, guest.wanted.shutdown_timeout
    with record.step("shut down", guest.name):
        guest.hang_up()
        called = expect.act(virsh.shutdown, guest.name, "--mode acpi")
        try:
            until(lambda: expect.truth.state(guest.name)[0] == "shut off", limit, f"'{guest.name}' to shut down")
        except WaitTimeoutError as error:
            found = " / ".join(expect.truth.state(guest.name))
            fail(record, "wrong-result", f"The shutdown was accepted, but the guest is {found}. {error}", guest.name)
        guest.on = False
        expect.state(guest.name, "shut off", "shutdown")
        stopped = expect.events(guest.name, called, [("Shutdown", "guest"), ("Stopped", "shutdown")])
        record.observe("shutdown_time", stopped.at - called, "s", guest.name)
        expect.no_process(guest)


def destroy(guest: Guest, expect: Expect) -> None:
    """Pull the guest's power; observe destroy_time (s)."""
    with expect.record.step("destroy", guest.name):
        guest.hang_up()
        called = expect.act(virsh.destroy, guest.name)
        expect.state(guest.name, "shut off", "destroyed")
        guest.on = False
        stopped = expect.events(guest.name, called, [("Stopped", "destroyed")])
        expect.record.observe("destroy_time", stopped.at - called, "s", guest.name)
        expect.no_process(guest)


def off(guest: Guest, expect: Expect) -> None:
    """Have the guest off, however it is; no step of a use case, nothing is observed."""
    guest.hang_up()
    guest.on = False
    domain = expect.truth.lookup(guest.name)
    if domain is not None and domain.isActive():
        domain.destroy()


def boots_again(guest: Guest, expect: Expect) -> None:
    """Start the guest again; observe boots_again and disk_canary: another boot, the synced data as it was."""
    armed = guest.witness.armed
    boot_id = start(guest, expect)
    told = guest.witness.report()
    another = armed is not None and boot_id == told["boot_id"] != armed.boot_id
    expect.record.observe("boots_again", another, "bool", guest.name)
    expect.record.observe(
        "disk_canary", armed is not None and told["disk_sha256"] == armed.disk_sha256 != "none", "bool", guest.name
    )
    expect.record.observe("guest_panics", int(told["panics"]), "count", guest.name)
