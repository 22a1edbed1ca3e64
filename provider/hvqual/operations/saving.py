# SPDX-License-Identifier: GPL-2.0-or-later
"""
Saving a guest and restoring it: off in between, and the same boot goes on.

To a file of the user's (save, restore), or to libvirt's own, from which the next start goes on (managed save).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from virttest import virsh

from provider.hvqual import host_process, together
from provider.hvqual.expect import Expect
from provider.hvqual.guests import Guest
from provider.hvqual.heartbeat import SERIAL
from provider.hvqual.host_state import temporary_path
from provider.hvqual.libvirt_truth import Event
from provider.hvqual.steps import fail, pass_time

# Where libvirt's system daemon keeps what it saved itself.
MANAGED = Path("/var/lib/libvirt/qemu/save")


@contextmanager
def save_file(guest: Guest) -> Iterator[Path]:
    """Hold a place for the guest's save file beside its disk; nothing is there before and after the block."""
    path = Path(f"{guest.spec.disk}.save")
    with temporary_path(path):
        yield path


def save(guest: Guest, expect: Expect, file: Path) -> None:
    """Save the guest to *file*; observe save_time (s), saved_file_size (byte) and its share of the memory that QEMU had."""
    record = expect.record
    with record.step("save", guest.name):
        resident = host_process.resident(expect.one_process(guest))
        called = expect.act(virsh.save, guest.name, str(file))
        record.observe("save_time", time.monotonic() - called, "s", guest.name)
        expect.state(guest.name, "shut off", "saved")
        guest.on = False
        expect.events(guest.name, called, [("Stopped", "saved")])
        expect.no_process(guest)
        size = file.stat().st_size if file.is_file() else 0
        _observe_size(guest, expect, size, resident)
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
        if not file.is_file():
            message = f"'{file}' is the user's and should be kept by the restore of '{guest.name}'; it is gone."
            fail(record, "wrong-result", message, guest.name)
    return called


@contextmanager
def silence(guests: Sequence[Guest], expect: Expect) -> Iterator[None]:
    """
    Expect that saved guests say nothing until the block has them going on; observe silence_while_saved (s).

    A guest whose heart still beats was not saved: that it "reported success and did nothing" is noticed here too. Each one's
    silence must be the time for which libvirt held it off: observe silence_error (s), the difference of the two.
    """
    since = time.monotonic()
    pass_time(guests[0].wanted.hold)
    together.each(guests, lambda guest: _is_silent(guest, expect, since))
    yield
    for guest in guests:
        _observe_silence(guest, expect, since)


def _is_silent(guest: Guest, expect: Expect, since: float) -> None:
    heard = guest.witness.observer.beats(guest.name, SERIAL, since)
    if heard:
        message = f"'{guest.name}' should be silent; {len(heard)} heartbeats came."
        fail(expect.record, "wrong-result", message, guest.name)


def _observe_silence(guest: Guest, expect: Expect, since: float) -> None:
    """Observe how long the guest was silent around *since*, and by how much that differs from its time off."""
    before = [beat for beat in guest.witness.observer.beats(guest.name, SERIAL) if beat.at < since]
    after = guest.witness.observer.beats(guest.name, SERIAL, since)
    off = time_off(expect.truth.events(guest.name))
    if not (before and after and off):
        return
    silent = after[0].at - before[-1].at
    expect.record.observe("silence_while_saved", silent, "s", guest.name)
    expect.record.observe("silence_error", abs(silent - off), "s", guest.name)


def time_off(events: Sequence[Event]) -> float:
    """Return for how many seconds libvirt last held a guest off: from the pause before it was saved to its resumption, else 0."""
    halted = [event.at for event in events if event.event == "Suspended"]
    resumed = [event.at for event in events if event.event == "Resumed"]
    return resumed[-1] - halted[-1] if halted and resumed and resumed[-1] > halted[-1] else 0.0


def saved_and_restored(guest: Guest, expect: Expect) -> None:
    """Save the guest, expect it silent for a while, restore it; observe silence_while_saved (s) too."""
    with save_file(guest) as file:
        save(guest, expect, file)
        with silence([guest], expect):
            restore(guest, expect, file)


def same_session(guest: Guest, expect: Expect) -> None:
    """Observe session_resumed: the session of before the save still answers, nobody had to log in anew."""
    guest.ask("true")
    expect.record.observe("session_resumed", guest.logins == 1, "bool", guest.name)


def managed_save(guest: Guest, expect: Expect) -> None:
    """
    Have libvirt save the guest where it keeps such files; observe the same as `save`.

    The domain's own undo removes the image: it goes with the definition.
    """
    record = expect.record
    with record.step("managed save", guest.name):
        resident = host_process.resident(expect.one_process(guest))
        called = expect.act(virsh.managedsave, guest.name)
        record.observe("save_time", time.monotonic() - called, "s", guest.name)
        expect.state(guest.name, "shut off", "saved")
        guest.on = False
        expect.events(guest.name, called, [("Stopped", "saved")])
        expect.no_process(guest)
        managed_image(guest, expect, there=True)
        _observe_size(guest, expect, _image(guest).stat().st_size, resident)
        told = virsh.managedsave_dumpxml(guest.name, uri=expect.uri, ignore_status=True)
        if guest.spec.uuid not in told.stdout_text:
            said = told.stderr_text.strip()
            message = f"The managed save of '{guest.name}' should hold it; libvirt reads from it: {said}"
            fail(record, "wrong-result", message, guest.name)


def managed_image(guest: Guest, expect: Expect, *, there: bool) -> None:
    """Expect that libvirt-python, virsh and the host's folder agree whether libvirt holds a managed save of the guest."""
    domain = expect.truth.lookup(guest.name)
    listed = virsh.dom_list("--all --name --with-managed-save", uri=expect.uri, ignore_status=True).stdout_text.split()
    found = (bool(domain.hasManagedSaveImage(0)), guest.name in listed, _image(guest).is_file())
    if found != (there, there, there):
        message = (
            f"'{guest.name}' should have {'a' if there else 'no'} managed save; libvirt-python says {found[0]}, "
            f"virsh {found[1]}, its file '{_image(guest)}' {'is' if found[2] else 'is not'} there."
        )
        fail(expect.record, "wrong-result", message, guest.name)


def start_saved(guest: Guest, expect: Expect) -> None:
    """Start the guest, which goes on from its managed save; observe restore_time (s). The image is used up by it."""
    record = expect.record
    with record.step("start from managed save", guest.name):
        called = expect.act(virsh.start, guest.name)
        expect.state(guest.name, "running", "restored")
        guest.on = True
        expect.events(guest.name, called, [("Started", "restored")])
        beat = guest.witness.ready(called, guest.wanted.ready_timeout)
        record.observe("restore_time", beat.at - called, "s", guest.name)
        expect.one_process(guest)
        managed_image(guest, expect, there=False)


def stays_saved(guest: Guest, expect: Expect) -> None:
    """
    Expect that the guest is off and its managed save still held, and that nothing of it runs; no step of its own.

    Why it is off a libvirt daemon does not remember: after a restart the reason is 'unknown'.
    """
    found = expect.truth.state(guest.name)[0]
    if found != "shut off":
        message = f"'{guest.name}' is saved and should be shut off; libvirt says {found}."
        fail(expect.record, "wrong-result", message, guest.name)
    managed_image(guest, expect, there=True)
    expect.no_process(guest)


def _image(guest: Guest) -> Path:
    return MANAGED / f"{guest.name}.save"


def _observe_size(guest: Guest, expect: Expect, size: int, resident: int) -> None:
    """Observe saved_file_size (byte) and saved_share_of_memory: a save file holds about what QEMU had in memory."""
    expect.record.observe("saved_file_size", size, "byte", guest.name)
    if resident:
        expect.record.observe("saved_share_of_memory", size / resident, "ratio", guest.name)
