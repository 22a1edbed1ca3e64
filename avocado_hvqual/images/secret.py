# SPDX-License-Identifier: GPL-2.0-or-later
"""What only this state home's guests have: root's password and the ssh host key. Neither is ever an argument of a process."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
import subprocess
from pathlib import Path

from avocado_hvqual.errors import ImageError
from avocado_hvqual.images.initramfs import Archive
from avocado_hvqual.lab.tools import find

PASSWORD, HOST_KEY = "password", "host_key"
_PASSWORD_BYTES = 15


def usable(folder: Path) -> bool:
    """Whether *folder* has both secrets, for their owner alone."""
    paths = [folder / PASSWORD, folder / HOST_KEY]
    return all(
        path.is_file() and path.stat().st_size and not stat.S_IMODE(path.stat().st_mode) & 0o077 for path in paths
    )


def password_for(folder: Path, work: Path) -> str:
    """Put the password of the image in *folder* into *work*, a new one if it has none, and return it as /etc/shadow holds it."""
    kept = folder / PASSWORD
    if kept.is_file() and kept.stat().st_size and not stat.S_IMODE(kept.stat().st_mode) & 0o077:
        shutil.copy2(kept, work / PASSWORD)
    elif not (work / PASSWORD).exists():
        _make_password(work / PASSWORD)
    return _crypted((work / PASSWORD).read_text(encoding="ascii").strip())


def keep_or_make(folder: Path, work: Path) -> Archive:
    """Put the secrets of the image in *folder* into *work*, new ones if it has none, and return them as an archive for the guest."""
    for name, make in ((PASSWORD, _make_password), (HOST_KEY, _make_host_key)):
        if usable(folder):
            shutil.copy2(folder / name, work / name)
        else:
            make(work / name)
    archive = Archive()
    crypted = _crypted((work / PASSWORD).read_text(encoding="ascii").strip())
    archive.file("etc/shadow", f"root:{crypted}:19000:0:99999:7:::\n".encode(), 0o600)
    archive.file("etc/dropbear/host_key", (work / HOST_KEY).read_bytes(), 0o600)
    return archive


def _make_password(path: Path) -> None:
    """Write a random password, letters, digits, - and _ only, so that no shell or console can mangle it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.write(secrets.token_urlsafe(_PASSWORD_BYTES) + "\n")


def _make_host_key(path: Path) -> None:
    """Write an ssh host key in dropbear's format: making one in the guest would cost every boot."""
    line = [find("dropbearkey") or "dropbearkey", "-t", "ed25519", "-f", str(path)]
    run = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        msg = f"dropbearkey failed with status {run.returncode}: {run.stderr.strip()[-200:]}"
        raise ImageError(msg)
    path.chmod(0o600)


def _crypted(password: str) -> str:
    """Return *password* as /etc/shadow holds it; it goes to the program by its standard input."""
    line = [find("busybox") or "busybox", "mkpasswd", "-m", "sha512", "-P", "0"]
    run = subprocess.run(line, input=password + "\n", capture_output=True, text=True, check=False)
    if run.returncode != 0 or not run.stdout.startswith("$6$"):
        msg = f"busybox mkpasswd failed with status {run.returncode}; install with 'apt-get install -y busybox-static'."
        raise ImageError(msg)
    return run.stdout.strip()
