# SPDX-License-Identifier: GPL-2.0-or-later
"""Saving guests below libvirt and having another QEMU go on with them; observed by the names of `operations.saving`."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from provider.hvqual.guests import Guest
from provider.hvqual.host_state import temporary_path
from provider.hvqual.operations import halt
from provider.hvqual.qemu_power import Below
from provider.hvqual.steps import fail
from provider.hvqual.wait import WaitTimeoutError, until

# Bytes a second: as fast as the disk takes it.
UNLIMITED = 1 << 40


@contextmanager
def save_file(guest: Guest) -> Iterator[Path]:
    """Hold a place for the guest's save file beside its disk; nothing is there before and after the block."""
    with temporary_path(Path(f"{guest.spec.disk}.save")) as path:
        yield path


def saved_and_restored(guest: Guest, below: Below) -> None:
    """Save the guest to a file and end its QEMU; expect it silent for a while; have another QEMU go on from the file."""
    with save_file(guest) as file:
        began = save(guest, below, file)
        with below.record.step("stand still", guest.name):
            halt.silent(guest, below, guest.wanted.hold)
        ended = restore(guest, below, file)
        halt.missed_nothing(guest, below, "silence_while_saved", began, ended)


def save(guest: Guest, below: Below, file: Path) -> float:
    """
    Save the guest to *file*; observe save_time (s), as QEMU tells it, and saved_file_size (byte). Return when it stopped.

    By the monitor itself: avocado-vt 113's save_to_file asks for migrate_set_speed, which QEMU 7.2 has no more.
    """
    with below.record.step("save", guest.name):
        below.act(guest, "pause", guest.vm.pause)
        stopped = time.monotonic()
        below.record.observe("save_time", _written(guest, below, file), "s", guest.name)
        guest.on = False
        guest.vm.destroy(gracefully=False, free_mac_addresses=False)
        below.no_process(guest)
        below.record.observe("saved_file_size", file.stat().st_size, "byte", guest.name)
    return stopped


def _written(guest: Guest, below: Below, file: Path) -> float:
    """Have QEMU write the paused guest to *file*; return how long it took by its own word (s)."""
    monitor = guest.vm.monitor

    def order() -> None:
        monitor.cmd("migrate-set-parameters", {"max-bandwidth": UNLIMITED})
        monitor.cmd("migrate", {"uri": f"exec:cat > {shlex.quote(str(file))}"})

    def told() -> dict[str, Any]:
        answer: dict[str, Any] = monitor.info("migrate")
        return answer if answer.get("status") in {"completed", "failed"} else {}

    below.act(guest, "save", order)
    try:
        answer = until(told, guest.wanted.operation_timeout, f"'{guest.name}' to be written", interval=0.1)
    except WaitTimeoutError as error:
        fail(
            below.record, "wrong-result", f"QEMU accepted to save '{guest.name}' and does not end. {error}", guest.name
        )
    if answer["status"] != "completed":
        fail(below.record, "operation-refused", f"QEMU did not save '{guest.name}': {answer}", guest.name)
    return float(answer["total-time"]) / 1000


def restore(guest: Guest, below: Below, file: Path) -> float:
    """Have a new QEMU go on from *file*; observe restore_time (s) from when its CPUs are let run, which is returned."""
    with below.record.step("restore", guest.name):
        below.make(guest, lambda: guest.vm.restore_from_file(str(file)))
        below.one_process(guest)
        called = below.act(guest, "run", lambda: guest.vm.monitor.cmd("cont"))
        below.status(guest, "running")
        halt.goes_on(guest, below, called, "restore_time")
    return called


def same_session(guest: Guest, below: Below) -> None:
    """Observe session_resumed: the session of before still answers, nobody had to log in anew."""
    guest.ask("true")
    below.record.observe("session_resumed", guest.logins == 1, "bool", guest.name)
