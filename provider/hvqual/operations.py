# SPDX-License-Identifier: GPL-2.0-or-later
"""
Named operations on a guest under libvirt: each acts as a user would, and is held against libvirt, host and guest.

An operation that reports success and does nothing fails here. The operation engine of the later categories combines them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from virttest import virsh

from provider.hvqual.expect import Expect
from provider.hvqual.guests import Guest
from provider.hvqual.heartbeat import SERIAL
from provider.hvqual.steps import fail, pass_time
from provider.hvqual.wait import WaitTimeoutError, until


def start(guest: Guest, expect: Expect) -> str:
    """Start the guest and wait until its userspace runs; observe domain_running and guest_ready (s). Return its boot_id."""
    record = expect.record
    with record.step(f"start {guest.name}"):
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
    with record.step(f"shut down {guest.name}"):
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
    with expect.record.step(f"destroy {guest.name}"):
        guest.hang_up()
        called = expect.act(virsh.destroy, guest.name)
        expect.state(guest.name, "shut off", "destroyed")
        guest.on = False
        stopped = expect.events(guest.name, called, [("Stopped", "destroyed")])
        expect.record.observe("destroy_time", stopped.at - called, "s", guest.name)
        expect.no_process(guest)


def save(guest: Guest, expect: Expect, file: Path) -> None:
    """Save the guest to *file*; observe save_time (s) and saved_file_size (byte)."""
    record = expect.record
    with record.step(f"save {guest.name}"):
        called = expect.act(virsh.save, guest.name, str(file))
        record.observe("save_time", time.monotonic() - called, "s", guest.name)
        expect.state(guest.name, "shut off", "saved")
        guest.on = False
        expect.events(guest.name, called, [("Stopped", "saved")])
        expect.no_process(guest)
        size = file.stat().st_size if file.is_file() else 0
        record.observe("saved_file_size", size, "byte", guest.name)
        told = virsh.save_image_dumpxml(str(file), uri=expect.uri, ignore_status=True)
        if not size or guest.spec.uuid not in told.stdout_text:
            said = told.stderr_text.strip()
            message = (
                f"'{file}' ({size} bytes) should hold the saved guest '{guest.name}'; libvirt reads from it: {said}"
            )
            fail(record, "wrong-result", message, guest.name)


def restore(guest: Guest, expect: Expect, file: Path) -> float:
    """Restore the guest from *file*; observe restore_time (s) to its first heartbeat. Return when it was called."""
    record = expect.record
    with record.step(f"restore {guest.name}"):
        called = expect.act(virsh.restore, str(file))
        expect.state(guest.name, "running", "restored")
        guest.on = True
        expect.events(guest.name, called, [("Started", "restored")])
        beat = guest.witness.ready(called, guest.wanted.ready_timeout)
        record.observe("restore_time", beat.at - called, "s", guest.name)
        expect.one_process(guest)
    return called


@contextmanager
def silence(guest: Guest, expect: Expect, name: str) -> Iterator[None]:
    """
    Expect that the guest says nothing while the block lasts; observe how long it was silent as *name* (s).

    A saved guest whose heart still beats was not saved: that it "reported success and did nothing" is noticed here too.
    """
    start_time = time.monotonic()
    pass_time(guest.wanted.hold)
    heard = guest.witness.observer.beats(guest.name, SERIAL, start_time)
    if heard:
        fail(
            expect.record, "wrong-result", f"'{guest.name}' should be silent; {len(heard)} heartbeats came.", guest.name
        )
    yield
    before = [beat for beat in guest.witness.observer.beats(guest.name, SERIAL) if beat.at < start_time]
    after = guest.witness.observer.beats(guest.name, SERIAL, start_time)
    if before and after:
        expect.record.observe(name, after[0].at - before[-1].at, "s", guest.name)


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
