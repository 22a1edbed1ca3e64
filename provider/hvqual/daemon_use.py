# SPDX-License-Identifier: GPL-2.0-or-later
"""What the node's libvirt daemon holds: open files, threads, memory. A daemon that grows with every VM ends badly."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from avocado.core.exceptions import TestError

from provider.hvqual.record import Record
from provider.hvqual.wait import WaitTimeoutError, until

PID_FILES = (Path("/run/libvirtd.pid"), Path("/run/libvirt/libvirtd.pid"), Path("/run/virtqemud.pid"))
SETTLE = 5.0


@dataclass(frozen=True)
class Use:
    """What the daemon holds at one moment."""

    pid: int
    files: int
    threads: int
    resident_kib: int


def use(proc: Path = Path("/proc"), pid_files: tuple[Path, ...] = PID_FILES) -> Use:
    """Return what the libvirt daemon holds now; TestError when there is none to be found."""
    for file in pid_files:
        try:
            pid = int(file.read_text(encoding="ascii"))
            status = dict(
                line.split(":", 1) for line in (proc / f"{pid}/status").read_text(encoding="utf-8").splitlines()
            )
            files = len(list((proc / f"{pid}/fd").iterdir()))
        except (OSError, ValueError):
            continue
        return Use(pid, files, int(status["Threads"]), int(status["VmRSS"].split()[0]))
    message = f"No libvirt daemon was found by {', '.join(map(str, pid_files))}; its files and memory cannot be told."
    raise TestError(message)


@contextmanager
def watched(record: Record) -> Iterator[None]:
    """
    Observe by how much the daemon grew over the block.

    libvirtd_files_growth and libvirtd_threads_growth (count), libvirtd_memory_growth (KiB).
    """
    before = use()
    yield
    # The daemon closes a dead VM's monitor and log a moment after it has told that the VM is off.
    with contextlib.suppress(WaitTimeoutError):
        until(lambda: use().files <= before.files, SETTLE, "libvirtd to close what it opened")
    after = use()
    record.observe("libvirtd_files_growth", after.files - before.files, "count")
    record.observe("libvirtd_threads_growth", after.threads - before.threads, "count")
    record.observe("libvirtd_memory_growth", after.resident_kib - before.resident_kib, "KiB")
