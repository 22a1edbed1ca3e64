# SPDX-License-Identifier: GPL-2.0-or-later
"""
A build on this node: its package installed, a kernel started once by GRUB, and whether what runs is what was built.

A kernel is started once (`grub-reboot`): one that does not come up is not the one that the next power cycle starts.
"""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

from avocado_hvqual.builds import record as records
from avocado_hvqual.builds.record import Record
from avocado_hvqual.errors import BuildError
from avocado_hvqual.images.golden.command import Programs
from avocado_hvqual.images.golden.workshop import digest
from avocado_hvqual.preparation import grub

MENU = Path("/boot/grub/grub.cfg")
DEFECT = 1


def package(folder: Path, record: Record) -> None:
    """Install the package of *record*, which lies in *folder*; what dpkg then says is there must be what was built."""
    if os.geteuid() != 0:
        msg = f"Installing a package needs root, found user id {os.geteuid()}; run it with sudo."
        raise BuildError(msg)
    if record.package is None or digest(folder / record.package.file) != record.package.sha256:
        msg = f"{folder} holds no package that is the record's; build it again."
        raise BuildError(msg)
    Programs(folder / "build.log", BuildError).run(
        ["dpkg", "-i", str(folder / record.package.file)], "install the package"
    )
    wrong = records.changed(record)
    if wrong:
        msg = f"Installed, but {len(wrong)} files are not what was built, the first is {wrong[0]}."
        raise BuildError(msg)
    sys.stdout.write(
        f"{record.package.name} {record.package.version} is installed; 'apt-get remove {record.package.name}' takes it away.\n"
    )


def start_once(record: Record) -> None:
    """Let GRUB start the kernel of *record* at the next boot alone, and reboot; `BuildError` when its menu has no such kernel."""
    choice = entry_of(MENU.read_text(encoding="utf-8") if MENU.exists() else "", record.main)
    log = Programs(Path("/var/log/avocado-hvqual-reboot.log"), BuildError)
    log.run(["grub-reboot", choice], "start the kernel once")
    sys.stdout.write(
        f"Rebooting into {record.version}; 'python -m avocado_hvqual.builds status' then tells whether it runs.\n"
    )
    log.run(["systemctl", "reboot"], "reboot")


def entry_of(menu: str, kernel: str) -> str:
    """Return the place in GRUB's *menu* of the entry that starts *kernel* in the normal way."""
    name = Path(kernel).name
    for entry in grub.entries(menu):
        title = entry.names[-1][0]
        if Path(entry.kernel or "/").name == name and "recovery" not in title:
            return ">".join(identifier for _, identifier in entry.names)
    msg = f"{MENU} has no entry for {kernel}; run 'update-grub' and look whether it finds it."
    raise BuildError(msg)


def status() -> int:
    """Write a line for each build that is installed here; 1 when one is not what was built."""
    found = records.installed()
    bad = 0
    for record in found:
        wrong = records.changed(record)
        bad += bool(wrong)
        state = f"{len(wrong)} files are not what was built, the first is {wrong[0]}" if wrong else "as it was built"
        runs = ", runs" if record.name == "kernel" and platform.release() == record.version else ""
        sys.stdout.write(f"{record.told()}: {state}{runs}.\n")
    if not found:
        sys.stdout.write(f"No build of ours is installed: {records.INSTALLED} holds no record.\n")
    return DEFECT if bad else 0
