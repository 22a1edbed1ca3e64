# SPDX-License-Identifier: GPL-2.0-or-later
"""What a lab is seen to have: its processes, and its traces on the machine."""

import json
import os
import subprocess
from pathlib import Path

from micro_guest import in_host

from avocado_hvqual.lab import cgroups
from avocado_hvqual.lab import state as lab_state
from avocado_hvqual.lab.paths import LabPaths
from avocado_hvqual.lab.processes import Process


def traces(home: Path) -> dict[str, list[str]]:
    """Return what a lab of *home* may leave on the machine, seen from outside."""
    paths = LabPaths(home)
    processes = []
    for entry in Path("/proc").iterdir():
        # Who has ended and waits for its parent to notice is gone as far as the lab is concerned.
        if entry.name.isdigit() and Process.of(int(entry.name)):
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if paths.cgroup in (entry / "cgroup").read_text() or (
                    str(home) in line and int(entry.name) != os.getpid()
                ):
                    processes.append(f"{entry.name} {line}")
            except OSError:
                continue
    folders = [str(h.mount / paths.cgroup) for h in cgroups.hierarchies() if (h.mount / paths.cgroup).exists()]
    links = sorted(
        link["ifname"]
        for link in json.loads(subprocess.run(["ip", "-json", "link"], capture_output=True, check=True).stdout)
    )
    mounts = sorted(line.split(" ")[4] for line in Path("/proc/self/mountinfo").read_text().splitlines())
    files = sorted(str(path) for path in home.iterdir() if path.name not in ("images", "lab.lock"))
    return {"processes": processes, "cgroups": folders, "links": links, "mounts": mounts, "files": files}


def pids(home):
    state = lab_state.load(LabPaths(home))
    return {name: (node.init, node.launcher) for name, node in state.nodes.items()}


def daemon_pid(name, daemon):
    return int(in_host(name, "cat", f"/run/{daemon}.pid"))
