# SPDX-License-Identifier: GPL-2.0-or-later
"""A loop device that a test put before a file of its own is taken away again."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from provider.hvqual import marks, wait

BLOCK = Path("/sys/block")
_TIMEOUT_S = 30.0
# The kernel lets go of the file a moment after losetup has ended.
_FREE_S = 5.0


def loops_of(path: str, block: Path = BLOCK) -> list[str]:
    """Return the loop devices that stand before the file *path*, as the kernel names it."""
    found = []
    for folder in sorted(block.glob("loop*")):
        try:
            backing = (folder / "loop/backing_file").read_text(encoding="utf-8", errors="replace").rstrip("\n")
        except OSError:
            # A loop device without a file has no such setting.
            continue
        if backing.removesuffix(" (deleted)") == path:
            found.append(f"/dev/{folder.name}")
    return found


def detach_loop(details: dict[str, Any], _home: Path) -> tuple[str, str]:
    """Take away every loop device before a file of ours; what somebody has open goes when it is closed, and counts as failed."""
    path = str(details["path"])
    found = loops_of(path)
    if not found:
        return "gone", f"no loop device stands before '{path}'"
    for device in found:
        done = subprocess.run(
            ["losetup", "-d", device], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
        if done.returncode:
            return "failed", f"'losetup -d {device}' ended with {done.returncode}: {done.stderr.strip()}"
    try:
        wait.until(lambda: not loops_of(path), _FREE_S, f"'{path}' to be before no loop device")
    except wait.WaitTimeoutError:
        return "failed", f"{', '.join(loops_of(path))} still stands before '{path}': somebody has it open"
    return "restored", f"{', '.join(found)} stands before '{path}' no more"


def refuse_loop(details: dict[str, Any], home: Path) -> str | None:
    """Say why a loop device before the file of *details* is not ours to take away; None when it is."""
    path = str(details["path"])
    return None if marks.path_is_ours(path, home) else f"'{path}' is no file of ours: others may need its loop device"
