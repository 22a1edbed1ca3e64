# SPDX-License-Identifier: GPL-2.0-or-later
"""What can happen behind a test's back to the CPUs of a guest that come and go, and to what they compute."""

from __future__ import annotations

from typing import Callable

from avocado_hvqual.faults.acts_memory import in_guests

# The CPU that comes next is taken offline as soon as it is online; there are some seconds for it to come.
NEWEST_OFFLINE = (
    "for turn in $(seq 100); do new=$(dmesg | sed -n 's/.*CPU\\([0-9]*\\) has been hot-added.*/\\1/p' | tail -n 1); "
    'file=/sys/devices/system/cpu/cpu$new/online; [ "$new" ] && [ "$(cat $file)" = 1 ] && echo 0 > $file && exit 0; '
    "sleep 0.1; done; exit 1"
)
# The jobs of `provider.hvqual.computing` stand still. They may not have begun yet, and begin one after the other: who came a second
# after the first stands still too.
STALL_JOBS = (
    "left=; for turn in $(seq 60); do for file in /run/hvq-compute.pid.*; do pid=$(cat $file 2> /dev/null); "
    '[ "$pid" ] && kill -STOP -$pid 2> /dev/null && left=${left:-10}; done; '
    '[ "$left" ] && left=$((left - 1)) && [ "$left" = 0 ] && exit 0; sleep 0.1; done; exit 1'
)

CPU_ACTS: dict[str, Callable[[], None]] = {
    "newest-cpu-offline": lambda: in_guests(NEWEST_OFFLINE),
    "stall-jobs": lambda: in_guests(STALL_JOBS),
}
