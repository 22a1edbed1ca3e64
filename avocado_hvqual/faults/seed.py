# SPDX-License-Identifier: GPL-2.0-or-later
"""Run a command while a fault is seeded: a virsh that lies, spoiled files, or an act when a step of a test begins."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Optional

from avocado_hvqual.errors import HvqualError
from avocado_hvqual.faults import emulators
from avocado_hvqual.faults.acts import ACTS
from avocado_hvqual.faults.acts_below import BELOW_ACTS
from avocado_hvqual.faults.acts_cpu import CPU_ACTS
from avocado_hvqual.faults.acts_definition import DEFINITION_ACTS
from avocado_hvqual.faults.acts_memory import MEMORY_ACTS
from avocado_hvqual.faults.acts_pages import PAGE_ACTS, RESULTS
from avocado_hvqual.faults.acts_pins import PIN_ACTS
from avocado_hvqual.faults.acts_prep import PREP_ACTS
from avocado_hvqual.faults.acts_resources import RESOURCE_ACTS
from avocado_hvqual.faults.fault import Fault
from avocado_hvqual.faults.spoilers import SPOILERS

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
if [ "$HVQUAL_LIE_ASKED" ]; then
    case " $* " in *" $HVQUAL_LIE_ASKED "*) ;; *) verb= ;; esac
fi
if [ "$verb" = "$HVQUAL_LIE" ]; then
    if [ "$HVQUAL_LIE_REPLAYS" ]; then
        # What was answered first is answered for ever.
        kept=$HVQUAL_LIE_REPLAYS/$(echo "$*" | cksum | tr ' ' -)
        [ -e "$kept" ] || "$HVQUAL_REAL_VIRSH" "$@" >"$kept"
        exec cat "$kept"
    fi
    if [ "$HVQUAL_LIE_REWRITES" ]; then
        for word in "$@"; do [ ! -f "$word" ] || sed -i "$HVQUAL_LIE_REWRITES" "$word"; done
    elif [ "$HVQUAL_LIE_DELAY" -gt 0 ]; then sleep "$HVQUAL_LIE_DELAY"; else echo "Domain did as asked"; exit 0; fi
fi
exec "$HVQUAL_REAL_VIRSH" "$@"
"""

ALL_ACTS = {
    **ACTS,
    **RESOURCE_ACTS,
    **BELOW_ACTS,
    **CPU_ACTS,
    **DEFINITION_ACTS,
    **MEMORY_ACTS,
    **PAGE_ACTS,
    **PIN_ACTS,
    **PREP_ACTS,
}
# Programs beside virsh that can be made to lie.
PROGRAMS = ("virt-install", "virt-clone")
# Another program that reports success and does nothing, whatever it is asked.
IDLER = """#!/bin/sh
echo "It did as asked"
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
                    ALL_ACTS[self.fault.act]()
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


def liar(folder: Path, program: str = "virsh") -> Path:
    """
    Put a lying *program* and a copy of the honest virsh into *folder* and return the path of what must be covered.

    It is covered by a bind mount and not by PATH: avocado 113's find_command searches the folders of PATH in the order of a set.
    """
    found = {name: shutil.which(name) for name in ("virsh", program)}
    missing = [name for name, path in found.items() if not path]
    if missing:
        message = f"There is no {missing[0]} on the PATH; install libvirt-clients and virtinst."
        raise HvqualError(message)
    shutil.copy2(str(found["virsh"]), folder / "virsh.honest")
    lying = folder / program
    lying.write_text(LIAR if program == "virsh" else IDLER, encoding="utf-8")
    lying.chmod(0o755)
    return Path(str(found[program])).resolve()


# Mounts each first word over the one after it, up to "--", and becomes what follows.
COVER = 'while [ "$1" != -- ]; do mount --bind "$1" "$2" || exit 1; shift 2; done; shift; exec "$@"'


def wrapped(fault: Fault, command: list[str], folder: Path) -> tuple[list[str], dict[str, str]]:
    """Return *command* and its environment so that it meets the fault's lie and sees its spoiled files, if it has some."""
    covers, told = list[tuple[Path, Path]](), dict[str, str]()
    if fault.lie:
        program = fault.lie if fault.lie in PROGRAMS else "virsh"
        covered = liar(folder, program)
        covers.append((folder / program, covered))
        told = {
            "HVQUAL_LIE": fault.lie,
            "HVQUAL_LIE_ASKED": fault.asked,
            "HVQUAL_LIE_DELAY": str(fault.delay),
            "HVQUAL_LIE_REPLAYS": str(folder) if fault.replays else "",
            "HVQUAL_LIE_REWRITES": fault.rewrites,
            "HVQUAL_REAL_VIRSH": str(folder / "virsh.honest"),
        }
    if fault.spoils:
        covers += SPOILERS[fault.spoils](folder)
    if not covers:
        return command, dict(os.environ)
    private = ["unshare", "--mount", "--propagation", "private", "sh", "-c", COVER, "sh"]
    mounts = [str(path) for cover in covers for path in cover]
    return [*private, *mounts, "--", *command], {**os.environ, **told}


def run_under(fault: Fault, command: list[str], results: Path) -> int:
    """
    Run *command* with *fault* seeded and return its exit status; tests write their observations below *results*.

    HvqualError when the fault was never seeded: a fault that did not happen proves nothing.
    """
    with tempfile.TemporaryDirectory(prefix="hvq-fault-") as folder:
        follower = Follower(fault, results) if fault.act else None
        os.environ[RESULTS] = str(results)
        if fault.emulator:
            command = emulators.asked(command, emulators.wrapper(Path(folder), fault.emulator))
        command = [*command, "--vt-extra-params", fault.given] if fault.given else command
        if follower:
            follower.start()
        private, environment = wrapped(fault, command, Path(folder))
        status = subprocess.run(private, env=environment, check=False).returncode
        if follower:
            follower.stopped.set()
            follower.join(30)
            if not follower.done:
                message = (
                    f"The fault '{fault.name}' was not seeded: {follower.error or f'no step {fault.step!r} began'}."
                )
                raise HvqualError(message)
    return status
