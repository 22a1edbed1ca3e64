# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests that the node starts by itself: flagged, started by libvirt's daemon after a boot of the host, or left off."""

from __future__ import annotations

import time
from pathlib import Path

from virttest import virsh

from provider.hvqual.daemon import restarted_libvirtd
from provider.hvqual.expect import Expect
from provider.hvqual.guests import Guest
from provider.hvqual.stand import Stand
from provider.hvqual.steps import fail, pass_time

CONFIG = Path("/etc/libvirt/qemu")


def flagged(guest: Guest, expect: Expect) -> None:
    """Flag the guest for the start of the host."""
    with expect.record.step("flag", guest.name):
        expect.act(virsh.autostart, guest.name, "")
        _flag_is(guest, expect, on=True)


def unflagged(guest: Guest, expect: Expect) -> None:
    """Take the guest's flag off."""
    with expect.record.step("unflag", guest.name):
        expect.act(virsh.autostart, guest.name, "--disable")
        _flag_is(guest, expect, on=False)


def _flag_is(guest: Guest, expect: Expect, *, on: bool) -> None:
    """Expect the flag by libvirt-python's word and by the host's link."""
    link, config = CONFIG / "autostart" / f"{guest.name}.xml", CONFIG / f"{guest.name}.xml"
    told = bool(expect.truth.lookup(guest.name).autostart())
    leads = str(link.resolve()) if link.is_symlink() else "nowhere"
    if told != on or leads != (str(config.resolve()) if on else "nowhere"):
        message = (
            f"'{guest.name}' should {'' if on else 'not '}be flagged for the start of the host after virsh reported success; "
            f"libvirt says {'yes' if told else 'no'}, and the link '{link}' leads {leads}."
        )
        fail(expect.record, "wrong-result", message, guest.name)


def boot_of_host(flagged: Stand, others: Stand) -> None:
    """Kill libvirt's daemon and start it as after a boot of the host: it starts the guests of *flagged*, those of *others* not."""
    called = time.monotonic()
    restarted_libvirtd(flagged.case, flagged.truth, after_boot=True, by_kill=True)
    flagged.each(started_by_itself, called)
    others.each(left_off, "left_off")


def started_by_itself(guest: Guest, expect: Expect, since: float) -> None:
    """Expect the guest to run since the daemon came up; observe autostarted (bool) and guest_ready (s)."""
    with expect.record.step("start by the daemon", guest.name):
        expect.state(guest.name, "running", "booted")
        guest.on = True
        beat = guest.witness.ready(since, guest.wanted.ready_timeout)
        expect.record.observe("guest_ready", beat.at - since, "s", guest.name)
        expect.one_process(guest)
        guest.witness.rearm()
        expect.record.observe("autostarted", value=True, unit="bool", vm=guest.name)


def left_off(guest: Guest, expect: Expect, name: str) -> None:
    """Expect that nobody starts the guest; observe *name* (bool)."""
    with expect.record.step("stay off", guest.name):
        pass_time(guest.wanted.hold)
        state, reason = expect.truth.state(guest.name)
        if state != "shut off":
            message = f"'{guest.name}' is not to be started by libvirt's daemon now; it is {state} ({reason})."
            fail(expect.record, "wrong-result", message, guest.name)
        expect.no_process(guest)
        expect.record.observe(name, value=True, unit="bool", vm=guest.name)
