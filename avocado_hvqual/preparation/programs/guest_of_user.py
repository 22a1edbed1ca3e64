# SPDX-License-Identifier: GPL-2.0-or-later
"""
Start, see and end a guest as a user who is not root: ``python guest_of_user.py USER URI kvm|tcg`` with JSON on stdout.

One virsh of the user does all of it, and the guest dies with its connection: nothing is left behind, however it ends.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

# Run as a script, our own folder must not shadow modules.
if __package__ in {None, ""}:
    sys.path[0] = str(Path(__file__).resolve().parents[3])

from avocado_hvqual.preparation.programs.guest_xml import PREFIX, empty_guest, forget_logs

_TIMEOUT_S = 60.0
_OPEN_TO_ALL = "/run"
"""A folder of root's in which everybody may read what is meant for everybody."""


def main(arguments: list[str]) -> int:
    """Write {"states": [after the start, after the end], "said": stderr}; status 0 when virsh did all that it was asked."""
    user, uri, accelerator = arguments
    name = f"{PREFIX}user-{os.getpid()}"
    # Where root's own folder of temporary files may be closed to others, and a pipe on stdin is as well.
    with tempfile.NamedTemporaryFile("w", prefix="hvq-", suffix=".xml", encoding="utf-8", dir=_OPEN_TO_ALL) as xml:
        xml.write(empty_guest(name, accelerator))
        xml.flush()
        Path(xml.name).chmod(0o644)
        # No console's end is waited for: the guest is started paused, it has nothing to run.
        words = f"create --paused --autodestroy {xml.name}; domstate {name}; destroy {name}; list --all --name"
        command = ["runuser", "-u", user, "--", "env", "HOME=/nonexistent", "virsh", "-q", "-c", uri, words]
        run = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    forget_logs()
    lines = [line.strip() for line in run.stdout.splitlines() if line.strip()]
    answer = {
        "status": run.returncode,
        "paused": "paused" in lines,
        "gone": name not in lines,
        "said": run.stderr.strip(),
    }
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0 if run.returncode == 0 and answer["paused"] and answer["gone"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
