# SPDX-License-Identifier: GPL-2.0-or-later
"""Own builds of QEMU and of the kernel, as their records tell of them (docs/custom_builds.rst), held against the files that are there."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from avocado.core.exceptions import TestError

from provider.hvqual import marks
from provider.hvqual.record import Record

INSTALLED = Path("/usr/share/avocado-hvqual/builds")
NOTES = Path("/sys/kernel/notes")
MENU = Path("/boot/grub/grub.cfg")


@dataclass(frozen=True)
class Build:
    """One build: what it is of, and its files by their place on a node; they lie below *root* ('/' once it is installed)."""

    name: str
    version: str
    source: Mapping[str, str]
    configure: tuple[str, ...]
    build_id: str
    main: str
    files: Mapping[str, str]
    root: Path
    told_by: Path

    @property
    def path(self) -> Path:
        """Where the file is that is run or booted."""
        return self.root / self.main.lstrip("/")

    @property
    def told(self) -> str:
        """The build in a sentence's part."""
        return (
            f"{self.name} {self.version} of {self.source['kind']} {self.source['place']} at {self.source['ref'][:40]}"
        )


def folder(home: str) -> Path:
    """Return where builds are made, below *home* (empty: our own home)."""
    return Path(home) if home else marks.home() / "builds"


def made(home: str, name: str) -> Optional[Build]:
    """Return the build *name* ('qemu', 'kernel') that was made on this node, whether it is installed or not; None when there is none."""
    place = folder(home) / name
    return _read(place / "record.json", place / "tree") if (place / "record.json").is_file() else None


def installed(name: str) -> list[Build]:
    """Return the builds *name* that are installed on this node."""
    found = [_read(path, Path("/")) for path in sorted(INSTALLED.glob("*.json"))]
    return [build for build in found if build.name == name]


def _read(path: Path, root: Path) -> Build:
    """Return the build of the record in *path*; TestError when it is none, or leaves out what makes a build one that can be named."""
    try:
        told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        source = {name: str(told["source"][name]) for name in ("kind", "place", "ref", "sha256")}
        words, files = tuple(map(str, told["configure"])), dict(told["files"])
        build = Build(told["name"], told["version"], source, words, told["build_id"], told["main"], files, root, path)
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"'{path}' is no record of a build ({error!r}). Build it again (docs/custom_builds.rst)."
        raise TestError(message) from None
    if not (build.version and all(source.values()) and words and build.main in files):
        message = f"'{path}' leaves out the version, the source, the configuration or the main file of the build. Build it again."
        raise TestError(message)
    return build


def changed(build: Build) -> list[str]:
    """Return the files of *build* that are missing or are no longer what was built."""
    return [name for name, told in build.files.items() if digest(build.root / name.lstrip("/")) != told]


def as_recorded(build: Build, record: Record) -> None:
    """Observe build_files and files_changed (count) of *build*, and keep its record as evidence."""
    record.evidence(f"build-{build.name}.json", build.told_by.read_bytes(), f"the record of {build.told}")
    wrong = changed(build)
    record.observe("build_files", len(build.files), "count")
    record.observe("files_changed", len(wrong), "count")
    if wrong:
        message = f"{len(wrong)} files of {build.told} are not what was built, the first is '{build.root / wrong[0].lstrip('/')}'."
        record.problem("wrong-result", message)


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, '' when there is none."""
    total = hashlib.sha256()
    try:
        with path.open("rb") as file:
            for part in iter(lambda: file.read(1 << 20), b""):
                total.update(part)
    except FileNotFoundError:
        return ""
    return total.hexdigest()


def of_program(path: str, builds: list[Build]) -> Optional[Build]:
    """Return the build whose main file is at *path*, links followed; None when none is."""
    return next((build for build in builds if os.path.realpath(build.path) == os.path.realpath(path)), None)


def build_id_of(notes: bytes) -> str:
    """Return the GNU build id in the notes of an ELF file ('' when they hold none): type 3 by the owner 'GNU'."""
    found = re.search(rb"(....)(....)\x03\0\0\0GNU\0", notes, re.DOTALL)
    if not found or int.from_bytes(found[1], "little") != len(b"GNU\0"):
        return ""
    return notes[found.end() : found.end() + int.from_bytes(found[2], "little")].hex()


def kernels_of(menu: str) -> set[str]:
    """Return the releases of the kernels that GRUB's *menu* can start."""
    return set(re.findall(r"^\s*linux(?:16|efi)?\s+\S*/vmlinuz-(\S+)", menu, re.MULTILINE))
