# SPDX-License-Identifier: GPL-2.0-or-later
"""
Reports: pure functions from a Qualification to text, one file each, all words from one table.

``write(qualification, folder)`` writes each by temporary file and rename, so that nobody ever reads half a verdict.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from avocado_hvqual.errors import HvqualError
from avocado_hvqual.model.qualification import Qualification
from avocado_hvqual.reports import html, junit, plain, verdict_json
from avocado_hvqual.uncollected import uncollected

# Written out: this is the list of all there are.
REPORTS: dict[str, Callable[[Qualification], str]] = {
    "verdict.json": verdict_json.render,
    "report.html": html.render,
    "junit.xml": junit.render,
    "report.txt": plain.render,
}


@uncollected()
def write(qualification: Qualification, folder: Path) -> list[Path]:
    """Write every report into *folder* and return their paths; HvqualError when the disk refuses."""
    texts = {name: render(qualification) for name, render in REPORTS.items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return [_write(folder / name, text) for name, text in texts.items()]
    except OSError as error:
        message = (
            f"The reports cannot be written to '{folder}': {error.strerror}. Make room, then: avocado hvqual report DIR"
        )
        raise HvqualError(message) from error


def _write(path: Path, text: str) -> Path:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with partial.open("w", encoding="utf-8", errors="replace") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path
