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
# The jobs of `provider.hvqual.computing` stand still; they may not have begun yet.
STALL_JOBS = (
    "for turn in $(seq 100); do ls /run/hvq-compute.out.* > /dev/null 2>&1 && break; sleep 0.1; done; "
    "for file in /run/hvq-compute.pid.*; do kill -STOP -- -$(cat $file); done"
)

CPU_ACTS: dict[str, Callable[[], None]] = {
    "newest-cpu-offline": lambda: in_guests(NEWEST_OFFLINE),
    "stall-jobs": lambda: in_guests(STALL_JOBS),
}
