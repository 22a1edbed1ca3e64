# SPDX-License-Identifier: GPL-2.0-or-later
"""Take the lab down, or the power from one host."""

from __future__ import annotations

import shutil

from avocado_hvqual.errors import LabError
from avocado_hvqual.lab import cgroups, hosts, inside
from avocado_hvqual.lab import state as lab_state
from avocado_hvqual.lab.paths import FABRIC, HOSTS, LabPaths, home, known_host
from avocado_hvqual.lab.processes import boot_id
from avocado_hvqual.lab.state import State
from avocado_hvqual.lab.tools import require_root


def down() -> None:
    """Leave nothing of the lab: no process, mount, namespace, cgroup or file; also of one that is half dead or whose state is damaged."""
    inside.refuse_inside()
    require_root("The lab")
    paths = LabPaths(home())
    with lab_state.locked(paths):
        state = _readable_state(paths)
        for name in (*HOSTS, FABRIC):
            hosts.cut_power(name, state.nodes.get(name) if state else None, paths)
        # Whatever the state did not know is in the lab's cgroup.
        cgroups.remove(paths.cgroup, cgroups.hierarchies())
        if paths.root.exists():
            shutil.rmtree(paths.root)
        hosts.remove_hugepages_folder()


def power_off(host: str) -> None:
    """Cut the power of *host*: its first process is killed, and everything in it ends without warning. `up` starts it again."""
    known_host(host)
    paths = LabPaths(home())
    with lab_state.locked(paths):
        hosts.cut_power(host, inside.node(host, paths), paths)


def _readable_state(paths: LabPaths) -> State | None:
    """Return the state of this boot, None if there is none or nothing can be learnt from it."""
    try:
        state = lab_state.load(paths)
    except LabError:
        return None
    return state if state and state.boot_id == boot_id() else None
