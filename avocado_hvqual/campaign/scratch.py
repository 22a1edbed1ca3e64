# SPDX-License-Identifier: GPL-2.0-or-later
"""The temporary folder of a campaign's tests, so that what avocado-vt 113 leaves behind can be removed whole."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from avocado_hvqual.campaign import processes
from avocado_hvqual.campaign.folder import MARKER

ROOT = Path("/var/tmp")  # noqa: S108 - the folder itself is made by mkdtemp, unguessable and 0700
PREFIX = "hvq-tmp-"


@contextmanager
def folder() -> Iterator[Path]:
    """
    Give this process and its children a temporary folder of their own for the block, and remove it afterwards.

    It does not lie below the campaign's folder: QEMU's monitor sockets lie in it, and the path of a unix socket has room for 107
    bytes.
    """
    path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=ROOT))
    me = processes.look(os.getpid())
    (path / MARKER).write_text(f"{os.getpid()} {me.start if me else 0}\n", encoding="ascii")
    before, own = os.environ.get("TMPDIR"), tempfile.tempdir
    os.environ["TMPDIR"] = tempfile.tempdir = str(path)
    try:
        yield path
    finally:
        tempfile.tempdir = own
        if before is None:
            os.environ.pop("TMPDIR", None)
        else:
            os.environ["TMPDIR"] = before
        shutil.rmtree(path, ignore_errors=True)


def remove_abandoned() -> list[Path]:
    """Remove the temporary folders of campaigns whose process is gone; return which."""
    removed = []
    for path in sorted(ROOT.glob(f"{PREFIX}*")):
        try:
            pid, start = (path / MARKER).read_text(encoding="ascii").split()
        except (OSError, ValueError):
            continue
        owner = processes.look(int(pid))
        if owner is None or str(owner.start) != start:
            shutil.rmtree(path, ignore_errors=True)
            removed.append(path)
    return removed
