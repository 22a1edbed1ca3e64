# SPDX-License-Identifier: GPL-2.0-or-later
"""A build in stages: each leaves its result in the build's folder, and a build that broke off goes on with the first that did not end."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from avocado_hvqual.errors import ImageError

FILE = "stages.json"


@dataclass(frozen=True)
class Stage:
    """One step: *run* makes its result from those of the steps before, anew however often it is called; *about* says what it does."""

    name: str
    about: str
    run: Callable[[], None]


def run_stages(folder: Path, stages: Sequence[Stage], tell: Callable[[str], None], until: str = "") -> dict[str, float]:
    """
    Run those of *stages* that have not ended yet, up to and with *until* (empty: all), and return the seconds of each that ended.

    A stage counts as ended only once its name is on disk; after a kill it is run again from its beginning.
    """
    names = [stage.name for stage in stages]
    if until and until not in names:
        msg = f"The build has no stage '{until}'; its stages are {', '.join(names)}."
        raise ImageError(msg)
    seconds = ended(folder)
    for stage in stages:
        if stage.name in seconds:
            tell(f"{stage.name}: done before ({seconds[stage.name]:.1f} s)")
        else:
            began = time.monotonic()
            stage.run()
            seconds[stage.name] = round(time.monotonic() - began, 2)
            _write(folder, seconds)
            tell(f"{stage.name}: {stage.about} ({seconds[stage.name]:.1f} s)")
        if stage.name == until:
            break
    return seconds


def ended(folder: Path) -> dict[str, float]:
    """Return the stages of *folder* that ended, each with its seconds; none when that cannot be read."""
    try:
        read = json.loads((folder / FILE).read_text(encoding="utf-8"))
        return {str(name): float(seconds) for name, seconds in read.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _write(folder: Path, seconds: dict[str, float]) -> None:
    """Put the ended stages on disk, all or nothing."""
    temporary = folder / f".{FILE}"
    with temporary.open("w", encoding="utf-8") as stream:
        stream.write(json.dumps(seconds, indent=1) + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(folder / FILE)
