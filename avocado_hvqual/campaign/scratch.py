# SPDX-License-Identifier: GPL-2.0-or-later
"""The temporary folder of a campaign's tests, so that what avocado-vt 113 leaves behind can be removed whole."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from avocado.core import data_dir

from avocado_hvqual.campaign import processes
from avocado_hvqual.campaign.folder import MARKER

ROOT = Path("/var/tmp")  # noqa: S108 - the folder itself is made by mkdtemp, unguessable and 0700
PREFIX = "hvq-tmp-"


@contextmanager
def folder() -> Iterator[Path]:
    """
    Give this process and its children a temporary folder of their own for the block, and remove it afterwards.

    Avocado has made one for this process already (113: with its plugins) and removes it at the end of its program, if that comes to
    its end: it is written down beside ours.

    It does not lie below the campaign's folder: QEMU's monitor sockets lie in it, and the path of a unix socket has room for 107
    bytes.
    """
    path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=ROOT))
    me = processes.look(os.getpid())
    avocados = Path(data_dir.get_tmp_dir())
    marker = f"{os.getpid()} {me.start if me else 0}\n{avocados}\n{avocados.stat().st_ino}\n"
    (path / MARKER).write_text(marker, encoding="utf-8")
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
        # Anybody may make such a folder where all may write: what another user wrote into it is not followed.
        if not _ours(path):
            continue
        try:
            owned, *avocados = (path / MARKER).read_text(encoding="utf-8").splitlines()
            pid, start = owned.split()
        except (OSError, ValueError):
            continue
        owner = processes.look(int(pid))
        # One that was killed and that nobody has buried yet needs none of it any more: seen right after a kill, and what it had stayed.
        if owner is None or not owner.alive or str(owner.start) != start:
            removed += _remove_avocados(avocados)
            shutil.rmtree(path, ignore_errors=True)
            removed.append(path)
    return removed


def do_without() -> None:
    """Remove avocado's own temporary folder now: this process waits for another one, and may be killed before its end."""
    data_dir.clean_tmp_files()


def _ours(path: Path) -> bool:
    """Return whether *path* is a folder of this user, and no link to one."""
    try:
        found = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def _remove_avocados(written: list[str]) -> list[Path]:
    """Remove avocado's own folder of a dead process, named by path and inode, unless another one lies there now."""
    try:
        path, inode = Path(written[0]), int(written[1])
        if path.name.startswith("avocado_") and _ours(path) and path.stat().st_ino == inode:
            shutil.rmtree(path)
            return [path]
    except (OSError, ValueError, IndexError):
        pass  # it is gone, or the campaign died before it had written it down
    return []
