# SPDX-License-Identifier: GPL-2.0-or-later
"""A LUN that a node is lent for the length of a block: a file behind a loop device, which nobody else can have."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from provider.hvqual.host_state import HostStateError, temporary_path, undone
from provider.hvqual.record import Record
from provider.hvqual.undo_block import loops_of

MIB = 1 << 20
_TIMEOUT_S = 30.0


@contextlib.contextmanager
def lent(mib: int, folder: str, record: Record) -> Iterator[tuple[str, ...]]:
    """
    Yield the WWID of a loop device of *mib* in *folder*, as `luns.wwids` names it; nothing when *mib* is 0: then the operator's LUNs do.

    Recorded as a capability that the node has not: what a file bears says nothing of the fabric to a real LUN.
    """
    if not mib:
        yield ()
        return
    path = str(Path(folder).resolve() / f"hvq-lun-{os.getpid()}.raw")
    record.capability("LUNs of the operator", f"a file of {mib} MiB behind a loop device stands for one", ok=False)
    with temporary_path(path), undone("detach_loop", path=path):
        with Path(path).open("wb") as stream:
            stream.truncate(mib * MIB)
        _attach(path)
        yield (f"loop:{path}",)


def _attach(path: str) -> None:
    command = ["losetup", "--find", "--show", path]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except OSError as error:
        message = f"'losetup' cannot be run: {error}"
        raise HostStateError(message) from error
    device = done.stdout.strip()
    if done.returncode or device not in loops_of(path):
        message = f"'{' '.join(command)}' ended with {done.returncode} ({done.stderr.strip() or device}); no loop device has the file."
        raise HostStateError(message)
