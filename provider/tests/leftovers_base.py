# SPDX-License-Identifier: GPL-2.0-or-later
"""How a leftover is registered, and the ways in which several of them are made."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path

from provider.hvqual.settings_file import read_setting, write_setting

SEEDS = {}


def seed(item, name=""):
    """Register a leftover of *item*; *name* tells several of one item apart."""

    def register(function):
        SEEDS[f"{item}{':' if name else ''}{name}"] = contextlib.contextmanager(function)
        return function

    return register


def sh(*words):
    subprocess.run(words, check=True, capture_output=True)


def change(path, value):
    """A kernel file with another value for the block."""
    old = read_setting(Path(path))
    write_setting(Path(path), value)
    try:
        yield
    finally:
        write_setting(Path(path), old)


def appended(path, line):
    """A file with a line more for the block."""
    text = Path(path).read_text()
    Path(path).write_text(text + line)
    yield
    Path(path).write_text(text)
