# SPDX-License-Identifier: GPL-2.0-or-later
"""
Files of a guest belong to whom they belonged before.

libvirt gives what QEMU reads to QEMU's user as long as a guest has it, and remembers the owner beside the file. Who ends the guest
gets it back; a host that loses its power leaves kernel and initrd with the wrong owner and the note of a guest that is no more
(libvirt 9.0, QEMU as libvirt-qemu).
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

#: Where libvirt's DAC driver remembers the owner, how many guests have the file, and since which boot.
REMEMBERED = tuple(f"trusted.libvirt.security.{name}" for name in ("dac", "ref_dac", "timestamp_dac"))


def give_back(details: dict[str, Any], _home: Path) -> tuple[str, str]:
    """Give a file its owner back and take libvirt's note away, which would give it to QEMU's user again after the next guest."""
    path, owner = Path(details["path"]), (int(details["uid"]), int(details["gid"]))
    try:
        found = path.lstat()
    except FileNotFoundError:
        return "gone", f"'{path}' is not there any more"
    if not stat.S_ISREG(found.st_mode) or found.st_ino != details["inode"]:
        return "gone", f"'{path}' is another file than the one that was read: left alone"
    if (found.st_uid, found.st_gid) == owner:
        return "restored", f"'{path}' belongs to {owner[0]}:{owner[1]} already"
    for name in set(os.listxattr(path)) & set(REMEMBERED):
        os.removexattr(path, name)
    os.chown(path, *owner)
    now = path.lstat()
    if (now.st_uid, now.st_gid) != owner:
        return "failed", f"'{path}' belongs to {now.st_uid}:{now.st_gid} after it was given to {owner[0]}:{owner[1]}"
    return "restored", f"'{path}' {found.st_uid}:{found.st_gid} -> {owner[0]}:{owner[1]}"
