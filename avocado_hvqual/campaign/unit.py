# SPDX-License-Identifier: GPL-2.0-or-later
"""The systemd unit that goes on at boot with the campaign that is open."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from avocado_hvqual.campaign.folder import HOME_VARIABLE

FILE = Path(__file__).resolve().parents[1] / "systemd" / "avocado-hvqual-resume.service"
COMMAND = "/usr/bin/env avocado "
"""How the file as it is shipped calls avocado: as a system's package installs it."""


def text() -> str:
    """Return the unit for this installation: with this Python, and with this state home where it is not the default one."""
    unit = FILE.read_text(encoding="utf-8").replace(COMMAND, f"{_quoted(sys.executable)} -m avocado ")
    home = os.environ.get(HOME_VARIABLE)
    if not home:
        return unit
    return unit.replace("[Service]\n", f"[Service]\nEnvironment={_quoted(f'{HOME_VARIABLE}={home}')}\n")


def _quoted(word: str) -> str:
    """Return a word as systemd reads it: its percent and dollar signs doubled, in quotes where it has a blank."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if any(letter.isspace() for letter in word) else escaped
