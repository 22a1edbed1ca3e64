# SPDX-License-Identifier: GPL-2.0-or-later
"""Swap for the length of a block: compressed in memory (zram) or a file, on a node that has none or whatever it has."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from avocado.core.exceptions import TestError

from provider.hvqual import capability, undo_swap
from provider.hvqual.host_state import HostStateError, temporary_path, undone
from provider.hvqual.record import Record

MIB = 1024 * 1024
BLOCK = Path("/sys/block")
KINDS = ("zram", "file")
_TIMEOUT_S = 60.0
# Swap that the node has of its own is used after this.
PRIORITY = 32000


def require(kind: str, mib: int, folder: str, record: Record) -> None:
    """Cancel the case where the node cannot swap to *mib* of *kind*: found by doing it."""
    if kind not in KINDS:
        message = f"hv_swap_kind is '{kind}', which is none of {', '.join(KINDS)}."
        raise TestError(message)
    reason = ""
    try:
        with area(kind, mib, folder):
            pass
    except HostStateError as error:
        reason = str(error)
    capability.require(f"swap to {kind}", reason or f"{mib} MiB", record, ok=not reason)


@contextlib.contextmanager
def area(kind: str, mib: int, folder: str) -> Iterator[None]:
    """Have the node swap to *mib* of a zram device or of a file in *folder* for the length of the block."""
    with contextlib.ExitStack() as stack:
        if kind == "zram":
            device = _free_zram()
            path = f"/dev/{device}"
            stack.enter_context(undone("swap_off", path=path))
            _write(BLOCK / device / "disksize", str(mib * MIB))
        else:
            path = f"{folder}/hvq-swap-{os.getpid()}"
            stack.enter_context(temporary_path(path))
            stack.enter_context(undone("swap_off", path=path))
            _run("dd", "if=/dev/zero", f"of={path}", f"bs={MIB}", f"count={mib}", "conv=fsync")
            Path(path).chmod(0o600)
        _run("mkswap", path)
        _run("swapon", "--priority", str(PRIORITY), path)
        if not undo_swap.in_use(path):
            message = f"'swapon {path}' reported success, but the kernel does not swap to it."
            raise HostStateError(message)
        yield


def _free_zram(block: Path = BLOCK) -> str:
    """Return a zram device that nobody uses."""
    for folder in sorted(block.glob("zram*")):
        if (folder / "disksize").read_text(encoding="ascii").strip() == "0" and Path(f"/dev/{folder.name}").exists():
            return folder.name
    message = "The node has no zram device that nobody uses (modprobe zram)."
    raise HostStateError(message)


def _write(path: Path, value: str) -> None:
    try:
        path.write_text(value, encoding="ascii")
    except OSError as error:
        message = f"'{path}' does not take {value}: {error}"
        raise HostStateError(message) from error


def _run(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except OSError as error:
        message = f"'{command[0]}' cannot be run: {error}"
        raise HostStateError(message) from error
    if done.returncode:
        message = f"'{' '.join(command)}' ended with {done.returncode}: {done.stderr.strip()}"
        raise HostStateError(message)
