# SPDX-License-Identifier: GPL-2.0-or-later
"""Run a command while a fault is seeded: a lying virsh first on its PATH, or an act when a step of a test begins."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Optional

from avocado_hvqual.errors import HvqualError
from avocado_hvqual.faults.acts import ACTS
from avocado_hvqual.faults.registry import Fault

LIAR = """#!/bin/sh
# A virsh that lies about one verb; HVQUAL_REAL_VIRSH is the honest one.
skip=
for word in "$@"; do
    if [ "$skip" ]; then skip=; continue; fi
    case "$word" in
    -c|--connect) skip=1 ;;
    -*) ;;
    *) verb=$word; break ;;
    esac
done
if [ "$verb" = "$HVQUAL_LIE" ]; then
    if [ "$HVQUAL_LIE_DELAY" -gt 0 ]; then sleep "$HVQUAL_LIE_DELAY"; else echo "Domain did as asked"; exit 0; fi
fi
exec "$HVQUAL_REAL_VIRSH" "$@"
"""


class Follower(threading.Thread):
    """Waits for the first step of a test whose name starts as the fault wants, then does the fault's act once."""

    def __init__(self, fault: Fault, folder: Path) -> None:
        """Look for observations of tests that begin from now on below *folder*."""
        super().__init__(name="hvqual-fault", daemon=True)
        self.fault, self.folder = fault, folder
        self.since = time.time()
        self.stopped = threading.Event()
        self.done = False
        self.error: Optional[Exception] = None

    def run(self) -> None:
        """Poll the observations until the step begins or the command has ended."""
        while not self.stopped.wait(0.02):
            if self._begun():
                try:
                    ACTS[self.fault.act]()
                    self.done = True
                except Exception as error:  # noqa: BLE001 - told by the seeder after the command
                    self.error = error
                return

    def _begun(self) -> bool:
        seen: set[str] = set()
        for path in self.folder.rglob("observations.jsonl"):
            if path.stat().st_mtime >= self.since:
                seen.update(_steps(path))
        return any(name.startswith(self.fault.step) for name in seen)


def _steps(path: Path) -> set[str]:
    """Return the names of the steps that have begun."""
    found = set()
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if '"kind": "step"' in line and '"phase": "begin"' in line:
            found.add(str(json.loads(line)["name"]))
    return found


def environment(fault: Fault, folder: Path) -> dict[str, str]:
    """Return the environment of a command under *fault*, with a lying virsh in *folder* where the fault is a lie."""
    real = shutil.which("virsh")
    if not real:
        message = "There is no virsh on the PATH; install libvirt-clients."
        raise HvqualError(message)
    changed = {**os.environ, "HVQUAL_REAL_VIRSH": real}
    if fault.lie:
        liar = folder / "virsh"
        liar.write_text(LIAR, encoding="utf-8")
        liar.chmod(liar.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
        changed.update(PATH=f"{folder}:{os.environ['PATH']}", HVQUAL_LIE=fault.lie, HVQUAL_LIE_DELAY=str(fault.delay))
    return changed


def run_under(fault: Fault, command: list[str], results: Path) -> int:
    """
    Run *command* with *fault* seeded and return its exit status; tests write their observations below *results*.

    HvqualError when the fault was never seeded: a fault that did not happen proves nothing.
    """
    with tempfile.TemporaryDirectory(prefix="hvq-fault-") as folder:
        follower = Follower(fault, results) if fault.act else None
        if follower:
            follower.start()
        status = subprocess.run(command, env=environment(fault, Path(folder)), check=False).returncode
        if follower:
            follower.stopped.set()
            follower.join(30)
            if not follower.done:
                message = (
                    f"The fault '{fault.name}' was not seeded: {follower.error or f'no step {fault.step!r} began'}."
                )
                raise HvqualError(message)
    return status
