# SPDX-License-Identifier: GPL-2.0-or-later
"""
What tells a guest that shut itself down from one whose power was cut: what it had written and not yet synced is on its disk.

The micro guest has no file system whose log could be read, so the write is one to the disk itself, which the kernel keeps in memory
for half a minute; only the guest's own way down syncs it before.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from provider.hvqual.guests import Guest
from provider.hvqual.record import Record
from provider.hvqual.wait import WaitTimeoutError, until

PLACE, SIZE = 2 * 1024 * 1024, 64 * 1024
# Behind the disk canary. The disk is held open meanwhile: the kernel syncs a disk that nobody has open any more.
HOLD = "setsid sh -c 'exec 3<>/dev/vda; exec sleep 600' </dev/null >/dev/null 2>&1 & usleep 200000"
WRITE = "dd if=/dev/urandom of=/dev/vda bs=65536 seek=32 count=1 conv=notrunc 2>/dev/null"
SUM = "dd if=/dev/vda bs=65536 skip=32 count=1 {flags} 2>/dev/null | sha256sum"
POWER_DOWN = re.compile(r"reboot: Power down")
SETTLE = 5.0


def write(guest: Guest, record: Record) -> str:
    """
    Have the guest write to its disk without syncing; return the sum of what it wrote.

    Observe unsynced: the host's file of the (raw) disk has not got it. The guest's own count of dirty pages comes too late to be asked:
    0 of 64 KiB was seen with two CPUs (Linux 6.1).
    """
    written = guest.ask(f"{HOLD}; {WRITE} && {SUM.format(flags='')}").split()[-2]
    record.observe("unsynced", on_host(guest) != written, "bool", guest.name)
    return written


def on_host(guest: Guest) -> str:
    """Return the sum of what the host's file of the disk holds at the place of the late write."""
    with Path(guest.spec.disk).open("rb") as disk:
        disk.seek(PLACE)
        return hashlib.sha256(disk.read(SIZE)).hexdigest()


def kept(guest: Guest, record: Record, written: str) -> None:
    """Observe late_write_kept: the disk holds what the guest wrote last before it went down."""
    found = guest.ask(SUM.format(flags="iflag=direct")).split()[0]
    record.observe("late_write_kept", found == written, "bool", guest.name)


def power_downs(guest: Guest) -> int:
    """Return how often the guest's kernel has said on its console that it powers down."""
    try:
        console = Path(guest.place.console_log).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return 0
    return len(POWER_DOWN.findall(console))


def powered_off(guest: Guest, record: Record, before: int) -> None:
    """Observe powered_off: the guest's kernel said once more than *before* that it powers down; its console's log may come late."""
    try:
        until(lambda: power_downs(guest) > before, SETTLE, f"the console of '{guest.name}'")
    except WaitTimeoutError:
        record.observe("powered_off", False, "bool", guest.name)  # noqa: FBT003 - it is the value
        return
    record.observe("powered_off", True, "bool", guest.name)  # noqa: FBT003 - it is the value
