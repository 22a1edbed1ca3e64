# SPDX-License-Identifier: GPL-2.0-or-later
"""Trees of files: libvirt's configuration and state, image folders."""

from __future__ import annotations

import hashlib
import os
import re
import stat

from provider.hvqual import marks
from provider.hvqual.node_items.processes import emulator_pids, normalise
from provider.hvqual.node_items.source import Source

IGNORED: dict[str, str] = {
    # libvirt's helper writes a .new beside it and renames it (seen at the end of a case with 9.0).
    r"/var/lib/libvirt/dnsmasq/.*\.(status|leases|macs|pid)(\.new)?": "leases come, go and expire",
    r"/var/lib/libvirt/(qemu/)?\.?cache(/.*)?": "what libvirt found out about emulators",
    r"/var/lib/libvirt/qemu/capabilities(/.*)?": "what libvirt found out about emulators",
    r"/var/lib/libvirt/qemu/\.(local|config)(/.*)?": "what emulators and their libraries cache",
    r"/var/lib/libvirt/qemu/(domain-\d+-[^/]*|(channel|ram)(/.*)?)": "run-time folders of running domains",
    r".*/lost\+found": "the file system's own",
    r".*/images/warm(/.*)?": "our cache of warm guests, filled on demand",
    r".*/\.(lock|[^/]*\.lock)": "locks of image folders",
}
# libvirt makes these when it first needs them and never removes them; what lies in them is told all the same.
MADE_ON_DEMAND = (
    r"/etc/libvirt/(qemu|qemu/networks|storage|secrets|nwfilter)(/autostart)?",
    r"/var/lib/libvirt/(qemu|qemu/(snapshot|checkpoint)(/[^/]+)?|qemu/(save|dump|nvram)|swtpm|dnsmasq|boot|filesystems|network)",
)
_ON_DEMAND = re.compile("(?:" + "|".join(MADE_ON_DEMAND) + ")$")
_IGNORED = re.compile("(?:" + "|".join(IGNORED) + ")$")
_CONTENT_BYTES = 64 * 1024
_KINDS = {stat.S_IFSOCK: "socket", stat.S_IFIFO: "fifo", stat.S_IFBLK: "block device", stat.S_IFCHR: "device"}


def etc_libvirt(source: Source) -> list[str]:
    """Libvirt's configuration, by content."""
    return _tree(source, "/etc/libvirt", set())


def var_lib_libvirt(source: Source) -> list[str]:
    """Libvirt's own state: NVRAM, saved guests, snapshots, networks' files; small files by content, large by size and time."""
    return _tree(source, "/var/lib/libvirt", _open_in_guests(source), without="/var/lib/libvirt/images")


def images(source: Source) -> list[str]:
    """The image folders: libvirt's, ours, and those named by the caller."""
    in_use = _open_in_guests(source)
    ours = marks.home() / "images"
    folders = dict.fromkeys(["/var/lib/libvirt/images", str(ours), *source.folders])
    # What builders of images unpack and keep there is named by its content: it is no state of the node.
    return [line for folder in folders for line in _tree(source, folder, in_use, without=str(ours / "cache"))]


def _open_in_guests(source: Source) -> set[tuple[int, int]]:
    """The files that emulators hold open, by device and inode: a running guest writes to its disk whenever it likes."""
    found = set()
    for pid in emulator_pids(source):
        for name in source.names(f"/proc/{pid}/fd"):
            try:
                facts = os.stat(source.path(f"/proc/{pid}/fd/{name}"))  # noqa: PTH116
            except OSError:
                continue
            found.add((facts.st_dev, facts.st_ino))
    return found


def _tree(source: Source, top: str, in_use: set[tuple[int, int]], without: str = "") -> list[str]:
    """The lines of a folder and all beneath it."""
    lines: list[str] = []
    todo = [top]
    while todo:
        folder = todo.pop()
        try:
            entries = list(os.scandir(source.path(folder)))
        except OSError:
            continue
        for entry in entries:
            path = f"{folder}/{entry.name}"
            if path == without or _IGNORED.match(path):
                continue
            try:
                facts = entry.stat(follow_symlinks=False)
                folder_of_libvirt = stat.S_ISDIR(facts.st_mode) and _ON_DEMAND.match(path)
                if not folder_of_libvirt:
                    lines.append(f"{normalise(path)} = {_told(entry.path, facts, in_use)}")
            except FileNotFoundError:
                continue  # it went between listing and looking
            if stat.S_ISDIR(facts.st_mode):
                todo.append(path)
    return lines or [f"{top} = not there or empty"]


def _told(path: str, facts: os.stat_result, in_use: set[tuple[int, int]]) -> str:
    """Kind, owner and mode of a file; its content by hash when it is small, else its size and time of change."""
    rights = f"{facts.st_uid}:{facts.st_gid} {stat.S_IMODE(facts.st_mode):o}"
    if stat.S_ISLNK(facts.st_mode):
        return f"link to {os.readlink(path)}"  # noqa: PTH115
    if stat.S_ISDIR(facts.st_mode):
        return f"folder, {rights}"
    if not stat.S_ISREG(facts.st_mode):
        return f"{_KINDS.get(stat.S_IFMT(facts.st_mode), 'special file')}, {rights}"
    if (facts.st_dev, facts.st_ino) in in_use:
        return f"in use by a guest, {rights}"
    if facts.st_size <= _CONTENT_BYTES:
        with open(path, "rb") as stream:  # noqa: PTH123
            return f"{rights}, sha256 {hashlib.sha256(stream.read()).hexdigest()[:16]}"
    return f"{rights}, {facts.st_size} bytes, changed {facts.st_mtime_ns}"
