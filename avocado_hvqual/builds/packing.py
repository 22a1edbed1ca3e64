# SPDX-License-Identifier: GPL-2.0-or-later
"""An installed tree becomes a package, so that dpkg knows whose each file is and can take it away again."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from avocado_hvqual.builds.record import INSTALLED, Package, Record, write
from avocado_hvqual.images.golden.command import Programs
from avocado_hvqual.images.golden.workshop import digest


@dataclass(frozen=True)
class About:
    """What the package says of itself; *scripts* are maintainer scripts by name."""

    name: str
    version: str
    text: str
    scripts: tuple[tuple[str, str], ...] = ()


def version(text: str) -> str:
    """Return *text* as a version that dpkg takes: digits first, nothing but what Debian's policy allows."""
    plain = re.sub(r"[^A-Za-z0-9.+~]+", "+", text).strip("+")
    return plain if plain[:1].isdigit() else f"0~{plain}"


def pack(tree: Path, about: About, record: Record, folder: Path, programs: Programs) -> Record:
    """Make a package of *tree*, with *record* inside, in *folder*, and return the record with the package in it."""
    write(record, tree / INSTALLED.relative_to("/") / f"{about.name}.json")
    control = tree / "DEBIAN"
    control.mkdir(exist_ok=True)
    (control / "control").write_text(control_file(about, _size_kib(tree)), encoding="utf-8")
    for name, script in about.scripts:
        (control / name).write_text(script, encoding="utf-8")
        (control / name).chmod(0o755)
    file = folder / f"{about.name}_{about.version}_amd64.deb"
    programs.run(["dpkg-deb", "--root-owner-group", "-Zxz", "-z1", "--build", str(tree), str(file)], "make the package")
    return replace(record, package=Package(about.name, about.version, file.name, digest(file)))


def control_file(about: About, size_kib: int) -> str:
    """Return the package's control file."""
    return (
        f"Package: {about.name}\nVersion: {about.version}\nArchitecture: amd64\nMaintainer: avocado-hvqual <root@localhost>\n"
        f"Installed-Size: {size_kib}\nSection: misc\nPriority: optional\nDescription: {about.text}\n"
    )


def _size_kib(tree: Path) -> int:
    return sum(path.lstat().st_size for path in tree.rglob("*") if path.is_file()) // 1024
