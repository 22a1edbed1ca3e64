# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernel settings as files: what one holds now, and a write that the kernel's refusal does not get lost in."""

from __future__ import annotations

import os
import re
from pathlib import Path

_CHOICE = re.compile(r"\[([^]\s]+)\]")
KERNEL_ROOTS = ("/proc/", "/sys/")


def is_kernel_file(path: Path) -> bool:
    """Whether *path* (its real place) is a runtime setting of the kernel, which a reboot takes back."""
    return os.path.realpath(path).startswith(KERNEL_ROOTS)


def choice(text: str) -> str:
    """The value in a setting's text: the bracketed word of 'always [madvise] never', else the whole line with single blanks."""
    line = " ".join(text.split())
    found = _CHOICE.findall(line)
    return str(found[0]) if len(found) == 1 and " " in line else line


def read_setting(path: Path) -> str:
    """The value that a setting holds now; OSError when it cannot be read."""
    return choice(path.read_text(encoding="utf-8", errors="replace"))


def write_setting(path: Path, value: str) -> None:
    """Write a value in one write call; OSError when the kernel refuses or takes only a part of it."""
    data = value.encode()
    descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC)  # as a shell does; the kernel ignores it
    try:
        taken = os.write(descriptor, data)
    finally:
        os.close(descriptor)
    if taken != len(data):
        message = f"'{path}' took {taken} of {len(data)} bytes"
        raise OSError(message)
