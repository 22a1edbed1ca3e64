# SPDX-License-Identifier: GPL-2.0-or-later
"""What the generated configuration was made from: equal stamps mean that there is nothing to do."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from avocado_hvqual import wait
from avocado_hvqual.errors import RegistrationError
from avocado_hvqual.registration.generated import subtests
from avocado_hvqual.registration.providers import provider_files

LOCK_TIMEOUT = 10.0  # seconds; a generation takes less than one, with tp-libvirt and tp-qemu beside us


def fingerprint(folder: Path, data: Path, root: Path, library: Path) -> str:
    """
    Return a digest over all provider files, our cfgs, avocado-vt's own version and what was generated.

    It asks for names, sizes and times only (about sixty calls of stat), because it is made at the start of each avocado command.
    """
    asked = [*sorted(folder.glob("*.ini")), library, *subtests(data)]
    lines = [*provider_files(root).values(), *(_stat(path) for path in asked)]
    for tree in ("generic", "libvirt", "qemu"):
        lines += _cfgs(str(root / tree / "tests"))
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def _stat(path: Path) -> str:
    try:
        found = path.stat()
    except OSError:
        return f"{path} missing"
    return f"{path} {found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}"


def _cfgs(folder: str) -> list[str]:
    """Return one line for each cfg below *folder*."""
    lines = []
    for where, _, names in os.walk(folder):
        lines += [_stat(Path(where, name)) for name in names if name.endswith(".cfg")]
    return sorted(lines)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold *path* against a second avocado that starts at the same moment; raises RegistrationError after LOCK_TIMEOUT."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as stream:
        try:
            wait.until(lambda: _try_lock(stream.fileno()), LOCK_TIMEOUT, f"'{path}', held by another avocado command")
        except wait.WaitTimeoutError as late:
            raise RegistrationError(str(late)) from late
        yield


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
