# SPDX-License-Identifier: GPL-2.0-or-later
"""
What became of a guest, looked at when its case is over: its console, QEMU's log, and whether it died or stood still by itself.

A dead guest seldom says why: the steps only see that it does not answer. Here the answer is looked for.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Optional

from provider.hvqual import host_process, stalled
from provider.hvqual.guests import Guest
from provider.hvqual.record import Record

PANIC = re.compile(r"Kernel panic - not syncing[^\r\n]{0,200}|Oops: [^\r\n]{0,200}|BUG: unable to handle[^\r\n]{0,200}")
STALL = re.compile(
    r"(?:BUG: soft lockup|Watchdog detected hard LOCKUP|rcu[^\r\n]{0,40}detected (?:expedited )?stalls?|"
    r"INFO: task [^\r\n]{1,60} blocked for more than)[^\r\n]{0,200}"
)
QEMU_LOGS = Path("/var/log/libvirt/qemu")
LONGEST = 16 * 1024 * 1024


def examine(guest: Guest, record: Record, qemu_log: Optional[Path] = None) -> None:
    """Keep the guest's console, QEMU's log and what stands still; write down a panic, a stall, and a QEMU that died with its guest on."""
    stalled.keep(guest, record)
    console = _text(Path(guest.place.console_log))
    if console:
        record.evidence_file(Path(guest.place.console_log), f"console of {guest.name}")
    said = _text(qemu_log) if qemu_log else ""
    if said:
        record.evidence(f"qemu-{guest.name}.log", said, f"QEMU's log of {guest.name}")
    panic = PANIC.search(console)
    if panic:
        record.problem("guest-panic", f"The kernel of '{guest.name}' died: {panic[0]}", guest.name)
    stalls = STALL.findall(console)
    if stalls:
        # Nobody may have watched the guest just then, and what failed does not tell why.
        lines = f"in {len(stalls)} lines of its console"
        message = f"The kernel of '{guest.name}' told of CPUs that stood still, {lines}; the first: {stalls[0]}"
        record.problem("guest-freeze", message, guest.name)
    crashed(guest, record, said)


def crashed(guest: Guest, record: Record, said: str = "") -> None:
    """Write down, once, that the guest's QEMU is gone when nobody stopped it, with the last of what it *said* (by libvirt's log of it)."""
    if not guest.on or host_process.emulators(guest.name):
        return
    guest.on = False
    lines = (said or _text(QEMU_LOGS / f"{guest.name}.log")).strip().splitlines()
    # libvirt's own line at the end tells that QEMU went; the one before it may tell why.
    last = [line for line in lines[-2:] if line] or ["QEMU's log says nothing"]
    record.problem(
        "qemu-crash", f"The QEMU of '{guest.name}' is gone though nobody stopped it; {' / '.join(last)}", guest.name
    )


def _text(path: Path) -> str:
    """Return what the file holds, the last 16 MiB of it, '' when there is none: a guest may write without end."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - LONGEST))
            return file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
