# SPDX-License-Identifier: GPL-2.0-or-later
"""
What was built, from what and how: a JSON file beside the package and inside it, by which a verdict names the build.

A record is believed of a file only while that file has the checksum that the record tells.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Optional

from avocado_hvqual.builds.source import Source
from avocado_hvqual.errors import HvqualError
from avocado_hvqual.images.golden.workshop import digest
from avocado_hvqual.load import document

FORMAT = 1
#: Where an installed package keeps its record.
INSTALLED = Path("/usr/share/avocado-hvqual/builds")


@dataclass(frozen=True)
class Package:
    """A package that was made: its name, its version and the file's checksum."""

    name: str
    version: str
    file: str
    sha256: str


@dataclass(frozen=True)
class Record:
    """A build: *files* are installed paths with their SHA-256, *build_id* is the linker's note in the main one."""

    name: str
    version: str
    source: dict[str, str]
    configure: tuple[str, ...]
    compiler: str
    build_id: str
    main: str
    files: dict[str, str]
    package: Optional[Package] = None
    seconds: Optional[dict[str, float]] = None

    def told(self) -> str:
        """Return the build in one sentence."""
        source = self.source
        origin = f"{source['kind']} {source['place']} at {source['ref'][:40]}"
        return f"{self.name} {self.version} of {origin}, build id {self.build_id or 'none'}"


def source_row(source: Source) -> dict[str, str]:
    """Return a source as a record tells it."""
    return {"kind": source.kind, "place": source.place, "ref": source.ref, "sha256": source.sha256}


def write(record: Record, path: Path) -> None:
    """Write *record* to *path*, all or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}")
    temporary.write_text(json.dumps({"format": FORMAT, **asdict(record)}, indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)


def read(path: Path) -> Record:
    """Return the record in *path*; DefinitionError with file:line when it is none."""
    data: dict[str, Any] = dict(document(path, "build-record").data)
    data.pop("format")
    package = data.pop("package")
    return Record(
        **{**data, "configure": tuple(data["configure"])}, package=Package(**package) if package is not None else None
    )


def files_below(root: Path) -> dict[str, str]:
    """Return the path on the node and the SHA-256 of each file of the tree *root* that a package installs."""
    found = sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    return {f"/{path.relative_to(root)}": digest(path) for path in found if path.relative_to(root).parts[0] != "DEBIAN"}


def changed(record: Record, root: Path = Path("/")) -> list[str]:
    """Return the files of *record* that are missing below *root* or are no longer what was built."""
    return [path for path, told in record.files.items() if _digest(root / path.lstrip("/")) != told]


def installed(folder: Path = INSTALLED) -> list[Record]:
    """Return the records of the builds that are installed here; one that cannot be read is passed over."""
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            found.append(read(path))
        except HvqualError:
            continue
    return found


def of_file(path: Path, records: Iterable[Record]) -> Optional[Record]:
    """Return the record that tells of *path*, None when none does or when the file is another one by now."""
    real = str(path.resolve())
    told = [record for record in records if real in record.files]
    return next((record for record in told if _digest(path) == record.files[real]), None)


def origins(qemu: str, release: str, folder: Path = INSTALLED) -> dict[str, str]:
    """Return ``qemu-origin`` and ``kernel-origin``, a sentence each, for what runs here and is an own build; empty where neither is."""
    found = installed(folder)
    files = {"qemu-origin": Path(qemu), "kernel-origin": Path(f"/boot/vmlinuz-{release}")}
    told = {name: of_file(path, found) for name, path in files.items()}
    return {name: record.told() for name, record in told.items() if record is not None}


def _digest(path: Path) -> str:
    return digest(path) if path.is_file() else ""
