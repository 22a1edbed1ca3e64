# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether this host is being shut down in order: then whoever ends us does not mean the campaign, which goes on after the boot."""

from __future__ import annotations

import subprocess

STOPPING = "stopping"
_ASK = ("systemctl", "is-system-running")
_ASK_S = 10.0
REASON = "the node was shut down in order while the campaign ran"


def under_way() -> bool:
    """Return whether systemd is stopping the host; without systemd, or without its answer in time, nothing is known of that."""
    try:
        asked = subprocess.run(
            _ASK, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_ASK_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.stdout.strip() == STOPPING
