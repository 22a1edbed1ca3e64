# SPDX-License-Identifier: GPL-2.0-or-later
"""What each build has in common: its folder, its stages, its log, its compiler, and the record at the end."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Optional

from avocado_hvqual.builds import record as records
from avocado_hvqual.builds import source as sources
from avocado_hvqual.builds.record import Record
from avocado_hvqual.builds.source import Source, Wanted
from avocado_hvqual.errors import BuildError
from avocado_hvqual.images.golden.command import Programs
from avocado_hvqual.images.golden.stages import Stage, run_stages
from avocado_hvqual.lab.tools import require

#: A compiler on a slow core takes its time; what hangs for longer than this is told.
COMPILE_SECONDS = 6 * 3600.0


def _silent(_line: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Order:
    """What is to be built: below the state home *home*, from which source, with how many compilers at a time, up to which stage."""

    home: Path
    wanted: Wanted
    jobs: int = 1
    until: str = ""
    tell: Callable[[str], None] = _silent


@dataclass(frozen=True)
class Bench:
    """The folder of one build, the programs that run there, and how many compilers at a time."""

    name: str
    folder: Path
    order: Order
    programs: Programs

    @property
    def source(self) -> Source:
        """The source that was fetched."""
        told = json.loads((self.folder / "source.json").read_text(encoding="utf-8"))
        return Source(**{**told, "folder": Path(told["folder"])})

    def fetch(self) -> None:
        """Get the source and note what it is."""
        got = sources.fetch(self.order.wanted, self.folder / "source", self.programs)
        (self.folder / "source.json").write_text(json.dumps(asdict(got), default=str) + "\n", encoding="utf-8")

    @property
    def tree(self) -> Path:
        """The folder that holds what the package will install."""
        return self.folder / "tree"

    @property
    def record(self) -> Path:
        """Where the record of this build is."""
        return self.folder / "record.json"


def bench(name: str, order: Order, configure: str, programs: dict[str, str]) -> Bench:
    """Return the bench of the build *name*; another source or configuration starts anew. `BuildError` names what is missing."""
    require(programs, f"Building {name}", BuildError)
    folder = order.home / "builds" / name
    folder.mkdir(parents=True, exist_ok=True)
    asked, text = folder / "wanted.json", json.dumps({**asdict(order.wanted), "configure": configure}) + "\n"
    if not asked.exists() or asked.read_text(encoding="utf-8") != text:
        (folder / "stages.json").unlink(missing_ok=True)
        asked.write_text(text, encoding="utf-8")
    return Bench(name, folder, order, Programs(folder / "build.log", BuildError))


def make(made: Bench, stages: list[Stage]) -> Optional[Record]:
    """Run the stages and return the record with the seconds of each, None when the build was to end before there is one."""
    whole = [Stage("source", "the source is here", made.fetch), *stages]
    seconds = run_stages(made.folder, whole, made.order.tell, made.order.until)
    if made.order.until not in {"", stages[-1].name}:
        return None
    record = replace(records.read(made.record), seconds=seconds)
    records.write(record, made.record)
    return record


def build_id(file: Path, programs: Programs) -> str:
    """Return the note by which the linker tells two builds apart, empty when *file* has none."""
    text = programs.run(["readelf", "-n", str(file)], "read the build id")
    found = re.search(r"Build ID: ([0-9a-f]+)", text)
    return found.group(1) if found else ""


def compiler(programs: Programs) -> str:
    """Return the compiler's first line about itself."""
    return programs.run(["gcc", "--version"], "name the compiler").splitlines()[0]
