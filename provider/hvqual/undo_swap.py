# SPDX-License-Identifier: GPL-2.0-or-later
"""Swap that a test took into use is taken out of use again; a compressed RAM disk beneath it is emptied."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

from provider.hvqual import marks

SWAPS = Path("/proc/swaps")
ZRAM = re.compile(r"/dev/(zram\d+)")
_TIMEOUT_S = 60.0


def in_use(path: str, swaps: Path = SWAPS) -> bool:
    """Return whether the kernel swaps to *path*."""
    return any(line.split()[0] == path for line in swaps.read_text(encoding="utf-8").splitlines()[1:] if line)


def swap_off(details: dict[str, Any], _home: Path) -> tuple[str, str]:
    """Stop swapping to a file of ours or a zram device that nobody used before; what lies there comes back into memory."""
    path = str(details["path"])
    found = ZRAM.fullmatch(path)
    reset = Path(f"/sys/block/{found[1]}/reset") if found else None
    if in_use(path):
        done = subprocess.run(["swapoff", path], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
        if done.returncode or in_use(path):
            return "failed", f"'swapoff {path}' ended with {done.returncode}: {done.stderr.strip()}"
    elif reset is None:
        return "gone", f"nothing is swapped to '{path}'"
    if reset is not None and reset.exists():
        reset.write_text("1", encoding="ascii")
    return "restored", f"nothing is swapped to '{path}' any more"


def refuse_swap(details: dict[str, Any], home: Path) -> str | None:
    """Say why swap of *details* is not ours to take away; None when it is."""
    path = str(details["path"])
    if ZRAM.fullmatch(path) or marks.path_is_ours(path, home):
        return None
    return f"'{path}' is neither a zram device nor a file of ours: others may swap to it"
