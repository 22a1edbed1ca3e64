# SPDX-License-Identifier: GPL-2.0-or-later
"""Saving a guest to a file and restoring it: off in between, and the same boot goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from virttest import virsh

from provider.hvqual.expect import Expect
from provider.hvqual.guests import Guest
from provider.hvqual.heartbeat import SERIAL
from provider.hvqual.host_state import temporary_path
from provider.hvqual.steps import fail, pass_time


@contextmanager
def save_file(guest: Guest) -> Iterator[Path]:
    """Hold a place for the guest's save file beside its disk; nothing is there before and after the block."""
    path = Path(f"{guest.spec.disk}.save")
    with temporary_path(path):
        yield path


def save(guest: Guest, expect: Expect, file: Path) -> None:
    """Save the guest to *file*; observe save_time (s) and saved_file_size (byte)."""
    record = expect.record
    with record.step("save", guest.name):
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
    with record.step("restore", guest.name):
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


def saved_and_restored(guest: Guest, expect: Expect) -> None:
    """Save the guest, expect it silent for a while, restore it; observe silence_while_saved (s) too."""
    with save_file(guest) as file:
        save(guest, expect, file)
        with silence(guest, expect, "silence_while_saved"):
            restore(guest, expect, file)


def same_session(guest: Guest, expect: Expect) -> None:
    """Observe session_resumed: the session of before the save still answers, nobody had to log in anew."""
    guest.ask("true")
    expect.record.observe("session_resumed", guest.logins == 1, "bool", guest.name)
