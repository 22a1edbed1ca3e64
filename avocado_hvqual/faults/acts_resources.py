# SPDX-License-Identifier: GPL-2.0-or-later
"""
What takes from a guest what it was given, behind a test's back: CPU time, memory, CPUs, places, devices.

All of it lasts as long as the guest runs, and no longer.
"""

from __future__ import annotations

import json
import os
import re
import signal
from typing import Callable

from avocado_hvqual.errors import HvqualError
from avocado_hvqual.faults.acts import guests, pids_of, virsh
from avocado_hvqual.wait import until

#: Longer than the ten seconds in which a guest must be ready.
STALL = 11.0
#: A tenth of a CPU.
QUOTA, PERIOD = 10_000, 100_000


def throttle() -> None:
    """Give the CPUs of one guest a tenth of a CPU's time."""
    name = guests()[0]
    virsh("schedinfo", name, "--live", "--set", f"vcpu_period={PERIOD}", "--set", f"vcpu_quota={QUOTA}")


def balloon() -> None:
    """Take a quarter of its memory from one guest, by its balloon."""
    name = guests()[0]
    found = re.search(r"Max memory:\s+(\d+) KiB", virsh("dominfo", name))
    if not found:
        message = f"libvirt does not tell the memory of '{name}'."
        raise HvqualError(message)
    virsh("setmem", name, str(int(found[1]) * 3 // 4), "--live")


def move_pin() -> None:
    """Pin the first vCPU of each pinned guest to another host CPU than the one it is pinned to."""
    node = sorted(os.sched_getaffinity(0))
    moved = 0
    for name in guests():
        found = re.search(r"^\s*0\s+(\d+)\s*$", virsh("vcpupin", name), re.MULTILINE)
        if found and len(node) > 1:
            other = next(cpu for cpu in node if cpu != int(found[1]))
            virsh("vcpupin", name, "0", str(other), "--live")
            moved += 1
    _some(moved, "pinned to one of several host CPUs")


def detach_nic() -> None:
    """Take the last network interface from each guest that has more than one."""
    detached = 0
    for name in guests():
        macs = re.findall(r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}", virsh("domiflist", name))
        if len(macs) > 1:
            virsh("detach-interface", name, "network", "--mac", macs[-1], "--live")
            detached += 1
    _some(detached, "with more than one network interface")


def add_iothread() -> None:
    """Give one guest an IOThread more."""
    virsh("iothreadadd", guests()[0], "9", "--live")


def cpu_offline() -> None:
    """Take the second CPU of each guest that has one offline, by the guest agent."""
    taken = 0
    for name in guests():
        online = json.dumps({"execute": "guest-get-vcpus"})
        if len(json.loads(virsh("qemu-agent-command", name, online))["return"]) > 1:
            vcpus = [{"logical-id": 1, "online": False}]
            order = json.dumps({"execute": "guest-set-vcpus", "arguments": {"vcpus": vcpus}})
            virsh("qemu-agent-command", name, order)
            taken += 1
    _some(taken, "with a second CPU")


def stall_one() -> None:
    """Stop the QEMU of the first guest that comes for 11 s, while it starts."""
    (pid, *_) = until(lambda: [pid for name in _coming() for pid in pids_of(name)], 20, "a guest of ours to start")
    os.kill(pid, signal.SIGSTOP)
    try:
        import time

        end = time.monotonic() + STALL
        until(lambda: time.monotonic() >= end, STALL + 1, "the fault to last")
    finally:
        os.kill(pid, signal.SIGCONT)


def _coming() -> list[str]:
    """Return the first of our guests that runs or starts, if there is one."""
    try:
        return guests()[:1]
    except HvqualError:
        return []


def _some(count: int, which: str) -> None:
    """HvqualError when there was no guest to take something from: a fault that did not happen proves nothing."""
    if not count:
        message = f"There is no running guest of ours {which}, so there is nothing to take."
        raise HvqualError(message)


RESOURCE_ACTS: dict[str, Callable[[], None]] = {
    "throttle": throttle,
    "balloon": balloon,
    "move-pin": move_pin,
    "detach-nic": detach_nic,
    "add-iothread": add_iothread,
    "cpu-offline": cpu_offline,
    "stall-one": stall_one,
}
