# SPDX-License-Identifier: GPL-2.0-or-later
"""What can happen behind a test's back to what libvirt keeps of a guest: its daemon, who is started, what the image holds."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Callable

from avocado_hvqual.errors import HvqualError
from avocado_hvqual.faults.acts import PREFIX, virsh

IMAGES = Path("/var/lib/libvirt/images")
# Where a use case that imports an image has put something known.
KNOWN_AT = 4 * 1024 * 1024


def restart_libvirtd() -> None:
    """Restart libvirt's daemon, and announce it to nobody."""
    systemd = Path("/run/systemd/system").is_dir() and shutil.which("systemctl")
    command = ["systemctl", "restart", "libvirtd.service"] if systemd else ["service", "libvirtd", "restart"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        message = f"'{' '.join(command)}' failed while a fault was seeded: {done.stderr.strip()}"
        raise HvqualError(message)


def start_others() -> None:
    """Start every guest of ours that is off."""
    names = [name for name in virsh("list", "--name", "--inactive").split() if name.startswith(PREFIX)]
    if not names:
        message = "There is no guest of ours that is off."
        raise HvqualError(message)
    for name in names:
        virsh("start", name)


def scribble() -> None:
    """Write one byte into each image of ours, where something known is."""
    images = sorted(IMAGES.glob(f"{PREFIX}*"))
    if not images:
        message = f"There is no image of ours in '{IMAGES}'."
        raise HvqualError(message)
    for image in images:
        with image.open("r+b") as file:
            byte = os.pread(file.fileno(), 1, KNOWN_AT) or b"\0"
            os.pwrite(file.fileno(), bytes([byte[0] ^ 1]), KNOWN_AT)
            os.fsync(file.fileno())


DEFINITION_ACTS: dict[str, Callable[[], None]] = {
    "restart-libvirtd": restart_libvirtd,
    "start-others": start_others,
    "scribble": scribble,
}
