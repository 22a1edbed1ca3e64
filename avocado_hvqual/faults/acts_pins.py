# SPDX-License-Identifier: GPL-2.0-or-later
"""
What can happen behind a test's back to where the threads of guests run and to how long they may; libvirt notices none of it.

All of it lasts as long as the guest runs, and no longer.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Callable

from avocado_hvqual.errors import HvqualError
from avocado_hvqual.faults.acts import guests, pids_of
from avocado_hvqual.faults.acts_memory import in_guests

PROC, CGROUP = Path("/proc"), Path("/sys/fs/cgroup")
#: What a kernel says of a CPU that did not get on; of a level that is no error.
STALL = "echo '<6>rcu: INFO: rcu_sched self-detected stall on CPU' > /dev/kmsg"
#: The same of a level that goes to the guest's console too.
LOCKUP = "echo '<0>watchdog: BUG: soft lockup - CPU#0 stuck for 23s! [hvqual-seeded:1]' > /dev/kmsg"
#: Another clock than the one that the guest goes by.
OTHER_CLOCK = (
    "cd /sys/devices/system/clocksource/clocksource0; now=$(cat current_clocksource); "
    'for other in $(cat available_clocksource); do [ "$other" = "$now" ] || break; done; echo $other > current_clocksource; '
    '[ "$(cat current_clocksource)" != "$now" ]'
)


def _groups(pid: int, controller: str) -> dict[int, Path]:
    """Return the cgroup of *controller* (version 1, else the one of version 2) of each thread of the process."""
    unified = next(place for place in (CGROUP / "unified", CGROUP) if place.is_dir())
    found = {}
    for task in (PROC / str(pid) / "task").iterdir():
        # A worker may end just now.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            lines = [line.split(":", 2) for line in (task / "cgroup").read_text(encoding="utf-8").splitlines()]
            own = [CGROUP / controller / path.lstrip("/") for _, names, path in lines if controller in names.split(",")]
            second = [unified / path.lstrip("/") for _, names, path in lines if not names]
            found[int(task.name)] = (own or second)[0]
    return found


def ignore_pins() -> None:
    """Take each thread of each guest out of what confines it and let it run on all CPUs, as a QEMU would that ignores its pins."""
    node = os.sched_getaffinity(0)
    for pid in [pid for name in guests() for pid in pids_of(name)]:
        for tid, group in _groups(pid, "cpuset").items():
            members = "tasks" if (group / "tasks").is_file() else "cgroup.threads"
            with contextlib.suppress(ProcessLookupError):
                (group.parent / members).write_text(str(tid), encoding="ascii")
                os.sched_setaffinity(tid, node)


def quota_off() -> None:
    """Take the limit of CPU time off each cgroup of each guest, and off the one above."""
    lifted = 0
    for pid in [pid for name in guests() for pid in pids_of(name)]:
        groups = set(_groups(pid, "cpu").values())
        # The upper one first: version 1 gives nobody more than who is above.
        for group in [*{group.parent for group in groups}, *groups]:
            for name, none in (("cpu.cfs_quota_us", "-1"), ("cpu.max", "max")):
                if (group / name).is_file():
                    lifted += not (group / name).read_text(encoding="ascii").startswith(none)
                    (group / name).write_text(none, encoding="ascii")
    if not lifted:
        message = "No cgroup of a guest of ours has a limit on its CPU time, so there is none to take off."
        raise HvqualError(message)


PIN_ACTS: dict[str, Callable[[], None]] = {
    "ignore-pins": ignore_pins,
    "quota-off": quota_off,
    "guest-stalls": lambda: in_guests(STALL),
    "guest-locks-up": lambda: in_guests(LOCKUP),
    "guest-clock": lambda: in_guests(OTHER_CLOCK),
}
