# SPDX-License-Identifier: GPL-2.0-or-later
"""
Power: start, shut down, destroy. Each acts as a user would, and is held against libvirt, host and guest.

An operation that reports success and does nothing fails here.
"""

from __future__ import annotations

from typing import Callable

from avocado.core.exceptions import TestError
from virttest import virsh

from provider.hvqual.expect import Expect
from provider.hvqual.guests import Guest
from provider.hvqual.operations import boots, freed, halt, late
from provider.hvqual.steps import fail
from provider.hvqual.wait import WaitTimeoutError, until

MODES = ("acpi", "agent")
AGENT_WAIT = 20.0


def start(guest: Guest, expect: Expect) -> str:
    """Start the guest and wait until its userspace runs; observe domain_running and guest_ready (s). Return its boot_id."""
    record = expect.record
    guest.take_up()
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


def start_paused(guest: Guest, expect: Expect) -> str:
    """
    Start the guest with its CPUs held, expect that it does nothing, and let it go.

    Observe domain_running and guest_ready (s), the latter from when it was let go. Return its boot_id.
    """
    record = expect.record
    with record.step("start paused", guest.name):
        called = expect.act(virsh.start, guest.name, "--paused")
        expect.state(guest.name, "paused", "user")
        guest.on = True
        running = expect.events(guest.name, called, [("Started", "booted"), ("Suspended", "paused")])
        record.observe("domain_running", running.at - called, "s", guest.name)
        expect.one_process(guest)
        halt.silent(guest, expect, guest.wanted.hold)
    with record.step("let go", guest.name):
        called = expect.act(virsh.resume, guest.name)
        expect.state(guest.name, "running", "unpaused")
        expect.events(guest.name, called, [("Resumed", "unpaused")])
        beat = guest.witness.ready(called, guest.wanted.ready_timeout)
        record.observe("guest_ready", beat.at - called, "s", guest.name)
        expect.one_process(guest)
    return beat.boot_id


def start_for_a_client(guest: Guest, expect: Expect) -> None:
    """Start the guest for as long as its client is connected, which virsh is for one command: it is destroyed with the connection."""
    with expect.record.step("start for a client", guest.name):
        called = expect.act(virsh.start, guest.name, "--autodestroy")
        expect.state(guest.name, "shut off", "destroyed")
        expect.events(guest.name, called, [("Started", "booted"), ("Stopped", "destroyed")])
        expect.no_process(guest)


def start_afresh(guest: Guest, expect: Expect) -> None:
    """Start a guest that has a managed save by force: it boots instead of going on, and the image is gone. It is off afterwards."""
    with expect.record.step("start afresh", guest.name):
        expect.act(virsh.start, guest.name, "--paused")
        guest.on = True
        expect.act(virsh.managedsave, guest.name)
        guest.on = False
        expect.state(guest.name, "shut off", "saved")
        called = expect.act(virsh.start, guest.name, "--force-boot")
        expect.state(guest.name, "running", "booted")
        guest.on = True
        expect.events(guest.name, called, [("Started", "booted")])
        if expect.truth.lookup(guest.name).hasManagedSaveImage(0):
            message = f"'{guest.name}' was started by force, but its managed save is still there."
            fail(expect.record, "wrong-result", message, guest.name)
    off(guest, expect)


def held_and_let_go(guest: Guest, expect: Expect) -> None:
    """Start the guest with its CPUs held and let it go (`start_paused`). It is off afterwards."""
    start_paused(guest, expect)
    off(guest, expect)


WAYS: dict[str, Callable[[Guest, Expect], None]] = {
    "client": start_for_a_client,
    "afresh": start_afresh,
    "paused": held_and_let_go,
}


def start_in_way(guest: Guest, expect: Expect, way: str) -> None:
    """Start the guest in one of the ways of `WAYS`, after which it is off again; TestError for another."""
    if way not in WAYS:
        message = f"hv_start_ways names '{way}', which is none of {', '.join(WAYS)}."
        raise TestError(message)
    WAYS[way](guest, expect)


def shutdown(guest: Guest, expect: Expect, mode: str = "acpi") -> None:
    """
    Ask the guest to shut down, by its power button or its agent; observe shutdown_time (s) to the end of its QEMU.

    Observe powered_off: its own kernel said so, as the last it did.
    """
    record, limit = expect.record, guest.wanted.shutdown_timeout
    with record.step("shut down", guest.name):
        guest.hang_up()
        held, said = freed.held(guest, expect), late.power_downs(guest)
        if mode == "agent":
            agent_there(guest, expect)
        called = expect.act(virsh.shutdown, guest.name, f"--mode {mode}")
        try:
            until(lambda: expect.truth.state(guest.name)[0] == "shut off", limit, f"'{guest.name}' to shut down")
        except WaitTimeoutError as error:
            found = " / ".join(expect.truth.state(guest.name))
            fail(record, "wrong-result", f"The shutdown was accepted, but the guest is {found}. {error}", guest.name)
        guest.on = False
        expect.state(guest.name, "shut off", "shutdown")
        stopped = expect.events(guest.name, called, [("Shutdown", "guest"), ("Stopped", "shutdown")])
        record.observe("shutdown_time", stopped.at - called, "s", guest.name)
        freed.frees(guest, expect, held)
        late.powered_off(guest, record, said)


def destroy(guest: Guest, expect: Expect) -> None:
    """Pull the guest's power; observe destroy_time (s)."""
    with expect.record.step("destroy", guest.name):
        guest.hang_up()
        held = freed.held(guest, expect)
        called = expect.act(virsh.destroy, guest.name)
        expect.state(guest.name, "shut off", "destroyed")
        guest.on = False
        stopped = expect.events(guest.name, called, [("Stopped", "destroyed")])
        expect.record.observe("destroy_time", stopped.at - called, "s", guest.name)
        freed.frees(guest, expect, held)


def agent_there(guest: Guest, expect: Expect) -> None:
    """
    Wait until the guest's agent is connected; it starts beside the heartbeats of a boot, not before them.

    A guest without one is recorded as such and goes on: what needs the agent says so itself.
    """
    try:
        until(lambda: expect.truth.agent_connected(guest.name), AGENT_WAIT, f"the agent of '{guest.name}'")
    except WaitTimeoutError as error:
        expect.record.capability(f"guest agent in {guest.name}", str(error), ok=False)


def off(guest: Guest, expect: Expect) -> None:
    """Have the guest off, however it is; no step of a use case, nothing is observed."""
    guest.hang_up()
    guest.on = False
    domain = expect.truth.lookup(guest.name)
    if domain is not None and domain.isActive():
        domain.destroy()


def down_and_up(guest: Guest, expect: Expect, mode: str) -> None:
    """Shut the guest down with a write that is not synced yet, and start it; observe late_write_kept and what both steps do."""
    if mode not in MODES:
        message = f"hv_shutdown_modes names '{mode}', which is none of {', '.join(MODES)}."
        raise TestError(message)
    with boots.labelled(expect.record, guest, mode):
        written = late.write(guest, expect.record)
        shutdown(guest, expect, mode)
        start(guest, expect)
        late.kept(guest, expect.record, written)
        guest.witness.rearm()


def boots_again(guest: Guest, expect: Expect) -> None:
    """Start the guest again; observe boots_again and disk_canary: another boot, the synced data as it was."""
    start(guest, expect)
    guest.witness.rearm()
