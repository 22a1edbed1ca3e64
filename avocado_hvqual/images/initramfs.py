# SPDX-License-Identifier: GPL-2.0-or-later
"""An initramfs as a value: the same entries always give the same bytes, whoever builds it and when."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import stat
from pathlib import Path, PurePosixPath

_MAGIC = "070701"
_TRAILER = "TRAILER!!!"


@dataclasses.dataclass(frozen=True)
class Entry:
    """One file, link, folder or device: *mode* holds type and permissions, *device* is (major, minor)."""

    mode: int
    content: bytes = b""
    device: tuple[int, int] = (0, 0)


class Archive:
    """A set of entries by path (no leading slash), written as a newc cpio archive of root's files."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}

    def folder(self, path: str, mode: int = 0o755) -> None:
        """Add a folder and those above it."""
        for part in [*reversed(PurePosixPath(path).parents), PurePosixPath(path)]:
            if str(part) != ".":
                self.entries.setdefault(str(part), Entry(stat.S_IFDIR | 0o755))
        self.entries[path] = Entry(stat.S_IFDIR | mode)

    def file(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """Add a regular file, in place of one that is there."""
        self._parents(path)
        self.entries[path] = Entry(stat.S_IFREG | mode, content)

    def link(self, path: str, target: str) -> None:
        """Add a symbolic link."""
        self._parents(path)
        self.entries[path] = Entry(stat.S_IFLNK | 0o777, os.fsencode(target))

    def character_device(self, path: str, major: int, minor: int) -> None:
        """Add a character device."""
        self._parents(path)
        self.entries[path] = Entry(stat.S_IFCHR | 0o600, b"", (major, minor))

    def tree(self, root: Path) -> None:
        """Add all files below *root*; those that begin with ``#!`` may be executed, whatever an installation made of their modes."""
        for source in sorted(path for path in root.rglob("*") if path.is_file()):
            content = source.read_bytes()
            self.file(source.relative_to(root).as_posix(), content, 0o755 if content.startswith(b"#!") else 0o644)

    def digest(self) -> str:
        """Return the SHA-256 of all entries."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def to_bytes(self) -> bytes:
        """Return the archive."""
        names = sorted(self.entries)
        parts = [_record(number, name, self.entries[name]) for number, name in enumerate(names, start=1)]
        parts.append(_record(0, _TRAILER, Entry(0)))
        body = b"".join(parts)
        return body + b"\0" * (-len(body) % 512)

    def _parents(self, path: str) -> None:
        """Add the folders above *path*."""
        parent = str(PurePosixPath(path).parent)
        if parent != "." and parent not in self.entries:
            self.folder(parent)


def _record(inode: int, name: str, entry: Entry) -> bytes:
    """Return one entry in the "new ASCII" format: header, name and content, each padded to four bytes."""
    encoded = os.fsencode(name) + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    numbers = (inode, entry.mode, 0, 0, links, 0, len(entry.content), 0, 0, *entry.device, len(encoded), 0)
    head = _MAGIC.encode() + b"".join(b"%08X" % number for number in numbers) + encoded
    head += b"\0" * (-len(head) % 4)
    return head + entry.content + b"\0" * (-len(entry.content) % 4)
