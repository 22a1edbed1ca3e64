# SPDX-License-Identifier: GPL-2.0-or-later
"""A QEMU that does not do what libvirt asks it for: a program in its place that changes its memory backends and becomes the real one."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

REAL = "/usr/bin/qemu-system-x86_64"
# What is done to each memory backend that is asked for, as Python over its options (libvirt writes them as JSON).
EDITS = {
    "small-pages": 'if o["qom-type"] == "memory-backend-file": o = {"qom-type": "memory-backend-ram", "id": o["id"], "size": o["size"]}',
    "any-node": 'o.pop("host-nodes", None); o.pop("policy", None)',
}
WRAPPER = """#!{python}
import json, os, sys
argv = sys.argv[1:]
for place, word in enumerate(argv):
    if place and argv[place - 1] == "-object" and word.startswith("{{"):
        o = json.loads(word)
        if o.get("qom-type", "").startswith("memory-backend"):
            {edit}
        argv[place] = json.dumps(o)
os.execv("{real}", ["{real}", *argv])
"""


def wrapper(folder: Path, edit: str) -> Path:
    """
    Put the QEMU that lies by *edit* into *folder*, where libvirt can run it; return its path.

    The system's Python runs it: ours may be below a home that the user of QEMU cannot read (seen: 'cannot execute binary').
    """
    folder.chmod(0o755)
    path = folder / "qemu-system-x86_64"
    python = shutil.which("python3", path="/usr/bin:/bin") or sys.executable
    path.write_text(WRAPPER.format(python=python, real=REAL, edit=EDITS[edit]), encoding="utf-8")
    path.chmod(0o755)
    return path


def asked(command: list[str], path: Path) -> list[str]:
    """Return the command of avocado that runs the guests under the QEMU at *path*."""
    return [*command, "--vt-extra-params", f"hv_qemu_binary={path}"]
