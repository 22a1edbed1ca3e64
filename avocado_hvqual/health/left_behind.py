# SPDX-License-Identifier: GPL-2.0-or-later
"""The files that a dead node left, read and copied within bounds; nothing is changed where they lie."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

from avocado_hvqual.health import identity, kernel_text
from avocado_hvqual.health.kernel_text import Told

LARGEST = 1 << 20
"""Bytes that are kept of one file: the end of a longer text."""
WHOLE = 16 << 20
"""Bytes that are kept of one look in all."""
FILES = 200
JOURNAL_LINES = "8000"
JOURNAL_SECONDS = 60
LISTING = "var-crash.txt"
LISTED = 1000


@dataclass(frozen=True)
class Roots:
    """Where a node keeps what is left of its kernel; tests give a tree of files."""

    pstore: tuple[Path, ...] = (Path("/sys/fs/pstore"), Path("/var/lib/systemd/pstore"))
    """The second one is where systemd-pstore puts the records at boot."""
    crash: Path = Path("/var/crash")
    logs: tuple[Path, ...] = (Path("/var/log/kern.log.1"), Path("/var/log/kern.log"))
    """In the order of their age."""
    journalctl: tuple[str, ...] = ("journalctl",)
    boot_id: Path = identity.BOOT_ID


@dataclass(frozen=True)
class Entry:
    """One file that was found: its name where it lay, its copy and the listing below the campaign's folder ("" for none)."""

    name: str
    size: int
    mtime: float
    is_new: bool
    """Written since the campaign began, and not listed before."""
    copy: str = ""
    listing: str = ""
    text: str = ""


@dataclass
class Sources:
    """Reads each source once and copies what is new into *target* (relative to the campaign's folder)."""

    folder: Path
    target: str
    roots: Roots
    began: float
    files: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    kept: int = 0

    def kernel_log(self, boot: str, cases: Sequence[str]) -> list[tuple[str, Told]]:
        """Return (copy, line) for the kernel log of the given boot, from the journal or else from syslog's files."""
        machine = boot.partition("/")[0]
        text = self._journalctl(machine.replace("-", ""))
        lines = kernel_text.journal(text)
        name = "journal"
        if not lines:
            lines, name = self._syslog(machine, cases), "kern.log"
        if not lines:
            self.notes.append(f"Nobody kept a kernel log of the boot '{boot}': neither the journal nor syslog has one.")
            return []
        copy = self._keep(f"kernel-{name}.txt", kernel_text.text_of(lines).encode())
        return [(copy, line) for line in lines]

    def _journalctl(self, boot: str) -> str:
        words = ("-k", "-b", boot, "-o", "json", "-n", JOURNAL_LINES, "--no-pager", "-q")
        if not boot.isalnum():
            return ""
        try:
            done = subprocess.run(
                [*self.roots.journalctl, *words], capture_output=True, timeout=JOURNAL_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            self.notes.append(f"The journal of the boot before cannot be asked: {error}.")
            return ""
        return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else ""

    def _syslog(self, boot: str, cases: Sequence[str]) -> list[Told]:
        """Return the lines of the boot that holds a marker of one of the cases, else of the one before this (or this) boot."""
        text = "".join(self._tail(path) for path in self.roots.logs if path.exists())
        parts = kernel_text.boots(kernel_text.syslog(text))
        for part in reversed(parts):
            if any(f"hvqual: begin {case} " in line.record.text for case in cases for line in part):
                return part
        is_current = self._current() == boot
        wanted = parts[-1:] if is_current or len(parts) == 1 else parts[-2:-1]
        return wanted[0] if wanted else []

    def _current(self) -> str:
        try:
            return self.roots.boot_id.read_text(encoding="ascii").strip()
        except OSError:
            return ""

    def pstore(self) -> Iterator[Entry]:
        """Yield the records that firmware or memory kept of a kernel that died, those of this campaign's time."""
        for root in self.roots.pstore:
            for path in self._below(root):
                entry = self._entry(path, root)
                if entry is None or not entry.is_new or "dmesg" not in path.name:
                    continue
                text = self._tail(path)
                data = text.encode("utf-8", "surrogateescape")
                if self._kept_before(f"pstore/{entry.name}", data):
                    continue
                copy = self._keep(f"pstore/{entry.name}", data)
                yield Entry(entry.name, entry.size, entry.mtime, is_new=True, copy=copy, text=text)

    def crash(self) -> Iterator[Entry]:
        """Yield the files of /var/crash: listed all, the small ones of this campaign's time copied."""
        known = self._listed_before()
        found = [entry for path in self._below(self.roots.crash) if (entry := self._entry(path, self.roots.crash))]
        rows = {entry.name: f"{entry.mtime:.0f} {entry.size} {entry.name}" for entry in found}
        listing = (
            self._keep(LISTING, "".join(f"{row}\n" for row in rows.values()).encode("utf-8", "replace")) if rows else ""
        )
        for entry in found:
            is_new = entry.is_new and rows[entry.name] not in known
            copy = text = ""
            if is_new and entry.size <= LARGEST:
                text = self._tail(self.roots.crash / entry.name)
                copy = self._keep(f"crash/{entry.name}", text.encode("utf-8", "surrogateescape"))
            yield Entry(entry.name, entry.size, entry.mtime, is_new, copy, listing, text)

    def _kept_before(self, name: str, data: bytes) -> bool:
        """Return whether an earlier look has the same: nothing is cleared, so each record is met again."""
        earlier = (self.folder / self.target).parent.glob(f"*/{name}")
        return any(path.read_bytes() == data for path in earlier)

    def _listed_before(self) -> set[str]:
        earlier = (self.folder / self.target).parent.glob(f"*/{LISTING}")
        return {row for path in earlier for row in path.read_text(encoding="utf-8", errors="replace").splitlines()}

    def _entry(self, path: Path, root: Path) -> Optional[Entry]:
        try:
            found = path.stat()
        except OSError as error:
            self.notes.append(f"'{path}' cannot be looked at: {error.strerror}.")
            return None
        # A clock that was not set yet says 1970: better told once too often.
        is_new = found.st_mtime >= self.began or found.st_mtime < UNSET
        return Entry(str(path.relative_to(root)), found.st_size, found.st_mtime, is_new)

    def _below(self, root: Path) -> list[Path]:
        """Return the plain files below a folder, in order; links are not followed."""
        found: list[Path] = []
        for folder, folders, names in os.walk(root, onerror=lambda error: self._not_there(root, error)):
            folders.sort()
            found += [
                path for name in sorted(names) if (path := Path(folder, name)).is_file() and not path.is_symlink()
            ]
            if len(found) > LISTED:
                self.notes.append(f"'{root}' holds more than {LISTED} files; the others were not looked at.")
                return found[:LISTED]
        return found

    def _not_there(self, root: Path, error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            self.notes.append(f"'{root}' cannot be read: {error.strerror}.")

    def _tail(self, path: Path) -> str:
        """Return the end of a text, with what is no UTF-8 kept as it is."""
        try:
            with path.open("rb") as file:
                # A file of pstore or proc does not know its size beforehand; of these nothing is skipped.
                file.seek(max(0, path.stat().st_size - LARGEST))
                return file.read(LARGEST).decode("utf-8", "surrogateescape")
        except OSError as error:
            self.notes.append(f"'{path}' cannot be read: {error.strerror}.")
            return ""

    def _keep(self, name: str, data: bytes) -> str:
        """Copy into the campaign's evidence and return the path; beyond the bounds nothing more, which is noted."""
        data = data[-LARGEST:]
        if self.kept + len(data) > WHOLE or len(self.files) >= FILES:
            self.notes.append(f"'{name}' was left where it is: more than {WHOLE >> 20} MiB or {FILES} files in all.")
            return ""
        path = self.folder / self.target / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        except OSError as error:
            self.notes.append(f"'{name}' cannot be copied into the campaign's evidence: {error.strerror}.")
            return ""
        self.kept += len(data)
        self.files.append(f"{self.target}/{name}")
        return self.files[-1]


UNSET = 946_684_800.0
"""The first second of the year 2000."""
