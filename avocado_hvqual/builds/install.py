# SPDX-License-Identifier: GPL-2.0-or-later
"""
A build on this node: its package installed, a kernel started once by GRUB, and whether what runs is what was built.

A kernel is started once (`grub-reboot`): one that does not come up is not the one that the next power cycle starts. GRUB's menu has the
latest version first, which a build often is, and Debian and Ubuntu start the first: so the default is kept by its name before.
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
ENVIRONMENT = Path("/boot/grub/grubenv")
LOG = Path("/var/log/avocado-hvqual-reboot.log")
#: GRUB's settings are a file of the administrator's; what lies in this folder is read after it.
SAVED = Path("/etc/default/grub.d/hvq-saved.cfg")
_SAVED = "# Written by avocado_hvqual.builds kernel --reboot: 'grub-set-default' then says which kernel starts.\nGRUB_DEFAULT=saved\n"
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
    choice, found = entry_of(_text(MENU), record.main), _starts()
    if found in {"", Path(record.main).name}:
        msg = f"GRUB would start {found or 'an unknown kernel'} at each power cycle; make another one the default (grub-set-default)."
        raise BuildError(msg)
    log = Programs(LOG, BuildError)
    log.run(["grub-reboot", choice], "start the kernel once")
    sys.stdout.write(
        f"Rebooting into {record.version}; 'python -m avocado_hvqual.builds status' then tells whether it runs.\n"
    )
    sys.stdout.flush()
    log.run(["systemctl", "reboot"], "reboot")


def keep_default(new: str) -> None:
    """
    Make the kernel that GRUB starts by default stay the default, by its name, before the *new* one is installed.

    From then on any power cycle would start the new one, which never ran. `BuildError` when it cannot be kept, or is the new one already.
    """
    kept, log = _starts(), Programs(LOG, BuildError)
    if kept in {"", Path(new).name}:
        msg = f"GRUB starts {kept or 'an unknown kernel'} by default; make one the default that is known to come up (grub-set-default)."
        raise BuildError(msg)
    if "saved_entry" not in _chosen(_text(MENU)):
        SAVED.parent.mkdir(parents=True, exist_ok=True)
        SAVED.write_text(_SAVED, encoding="utf-8")
        sys.stdout.write(f"Wrote {SAVED}: without it GRUB starts the first entry of its menu, which {new} will be.\n")
        log.run(["update-grub"], "let GRUB start the entry that is saved")
    log.run(["grub-set-default", entry_of(_text(MENU), kept, "gnulinux-simple")], "keep the default")
    os.sync()  # grub-set-default does not wait for the disk, and a power cut must not bring the new one
    if _starts() != kept:
        msg = f"GRUB would start {_starts() or 'an unknown kernel'} by default, not {kept}; see GRUB_DEFAULT in /etc/default/grub."
        raise BuildError(msg)
    sys.stdout.write(f"{kept} stays GRUB's default (grub-set-default).\n")


def _starts() -> str:
    """Return the name of the kernel that GRUB starts when nobody chooses, empty when it cannot be told."""
    found = grub.default(_text(MENU), _text(ENVIRONMENT))
    return Path(found.kernel).name if found is not None else ""


def _chosen(menu: str) -> str:
    """Return the lines of GRUB's *menu* that set its default."""
    return "\n".join(line for line in menu.splitlines() if line.strip().startswith("set default="))


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def entry_of(menu: str, kernel: str, without: str = " ") -> str:
    """Return the place in GRUB's *menu* of the entry that starts *kernel* in the normal way, and whose id does not begin with *without*."""
    name = Path(kernel).name
    for entry in grub.entries(menu):
        title, identifier = entry.names[-1]
        usual = "recovery" not in title and not identifier.startswith(without)
        if Path(entry.kernel or "/").name == name and usual:
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
