# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs of this machine, with the libraries that they load, for a guest that runs the same distribution."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from avocado_hvqual.errors import ImageError

_LIBRARY = re.compile(r"^\s*(?:\S+ => )?(/\S+) \(0x[0-9a-f]+\)$")
_MISSING = re.compile(r"^\s*(\S+) => not found$")


def parse_ldd(text: str) -> tuple[list[str], list[str]]:
    """Return the libraries that ldd(1) lists and those that it does not find."""
    found, missing = [], []
    for line in text.splitlines():
        if match := _LIBRARY.match(line):
            found.append(match.group(1))
        elif match := _MISSING.match(line):
            missing.append(match.group(1))
    return found, missing


def libraries(programs: Iterable[str]) -> list[str]:
    """Return the paths of all libraries that *programs* load, each once; raise `ImageError` for one that is missing."""
    needed: set[str] = set()
    for program in programs:
        run = subprocess.run(["ldd", program], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if run.returncode != 0 and "not a dynamic executable" not in run.stdout + run.stderr:
            msg = f"ldd failed for {program} with status {run.returncode}: {(run.stderr or run.stdout).strip()}"
            raise ImageError(msg)
        found, missing = parse_ldd(run.stdout)
        if missing:
            msg = f"{program} needs {', '.join(missing)}, not found; install its package again."
            raise ImageError(msg)
        needed.update(found)
    return sorted(needed)


def read(path: str) -> bytes:
    """Return the contents of a program or library, links followed."""
    return Path(path).resolve().read_bytes()
