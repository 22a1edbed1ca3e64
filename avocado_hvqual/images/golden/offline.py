# SPDX-License-Identifier: GPL-2.0-or-later
"""What is on a disk that is not running, read by e2fsprogs' debugger: not by libguestfs, which wrote it."""

from __future__ import annotations

import re
from pathlib import Path

from avocado_hvqual.errors import ImageError
from avocado_hvqual.images.golden.command import Programs
from avocado_hvqual.images.golden.disk import file_system

_SIZE = re.compile(r"^User:.*\bSize: (\d+)$", re.MULTILINE)
_NAME = re.compile(r"^/\d+/\d+/\d+/\d+/([^/]*)/\d*/$", re.MULTILINE)


def names(image: Path, folder: str, programs: Programs) -> list[str]:
    """Return what is in *folder* of the disk; nothing when it is not there."""
    said = _ask(image, f"ls -p {folder}", programs)
    return sorted(set(_NAME.findall(said)) - {".", ".."})


def size(image: Path, path: str, programs: Programs) -> int:
    """Return the size of a file on the disk, -1 when it is not there."""
    found = _SIZE.search(_ask(image, f"stat {path}", programs))
    return int(found.group(1)) if found else -1


def _ask(image: Path, request: str, programs: Programs) -> str:
    return programs.run(["debugfs", "-R", request, file_system(image)], "look at the disk", timeout=60)


def left_of_the_machine(image: Path, programs: Programs) -> list[str]:
    """
    Return what still makes the disk one certain machine, a sentence each; an image that was prepared has none of it.

    `ImageError` when the disk cannot be looked at at all, in which case nothing would be found either.
    """
    if "passwd" not in names(image, "/etc", programs):
        msg = f"{image} shows no /etc/passwd at {file_system(image)}; nothing can be said of what is on it."
        raise ImageError(msg)
    left = []
    if (found := size(image, "/etc/machine-id", programs)) != 0:
        left.append(
            f"/etc/machine-id has {found} bytes, an empty file is expected."
            if found > 0
            else "/etc/machine-id is missing."
        )
    left += [
        f"/etc/ssh/{name} is there." for name in names(image, "/etc/ssh", programs) if name.startswith("ssh_host_")
    ]
    for folder in ("/var/log/journal", "/var/lib/systemd/network", "/var/lib/dhcp", "/var/crash", "/root/.ssh"):
        left += [f"{folder}/{name} is there." for name in names(image, folder, programs)]
    for path in ("/root/.bash_history", "/etc/udev/rules.d/70-persistent-net.rules"):
        if size(image, path, programs) > 0:
            left.append(f"{path} is there.")
    return left
