# SPDX-License-Identifier: GPL-2.0-or-later
"""The campaign's copies of the kernel log by name: each part of a campaign that went on has its own, as the kernel's clock begins anew."""

from __future__ import annotations

import re
from pathlib import Path

FIRST = "kernel.log"
_NAME = re.compile(r"kernel(?:-(?P<number>[1-9]\d*))?\.log")


def of(number: int) -> str:
    """Return the name of the copy of a part, which is known by its place from 0."""
    return f"kernel-{number + 1}.log" if number else FIRST


def every(folder: Path) -> list[Path]:
    """Return the copies that lie in a campaign's folder, in the order of its parts; a link is none."""
    found = ((_NAME.fullmatch(path.name), path) for path in folder.glob("kernel*.log"))
    ours = [(int(match["number"] or 1), path) for match, path in found if match]
    return [path for _number, path in sorted(ours) if path.is_file() and not path.is_symlink()]
