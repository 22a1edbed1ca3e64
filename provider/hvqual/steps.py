# SPDX-License-Identifier: GPL-2.0-or-later
"""Steps that need no particular backend: let a guest live, and hold what it sees against what it was given."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NoReturn

from avocado.core.exceptions import TestFail

from provider.hvqual.domain_xml import Spec, target
from provider.hvqual.wait import until

if TYPE_CHECKING:
    from provider.hvqual.guests import Guest
    from provider.hvqual.record import Record

SECTOR = 512
MIB = 1024 * 1024
# A guest's MemTotal lacks the kernel's own text, the firmware's part and a page descriptor of 64 bytes for each 4 KiB:
# 38 MiB of a guest of 192 MiB (Linux 6.1), a few percent of a big one.
KERNEL_KIB = 64 * 1024
LEAST_MEMORY = 0.95


def fail(record: Record, what: str, message: str, vm: str | None) -> NoReturn:
    """Write the problem down by its kind and end the test as a failure of the product."""
    record.problem(what, message, vm)
    raise TestFail(message)


def hold(guest: Guest, record: Record) -> None:
    """Let the guest live for a while; what it does meanwhile is what the witness is asked about."""
    with record.step("hold", guest.name):
        pass_time(guest.wanted.hold)


def matches_model(guest: Guest, record: Record) -> None:
    """Observe guest_matches: the guest sees the CPUs, memory, disk and network interface that it was given."""
    difference = matches(guest.spec, guest.witness.report())
    record.observe("guest_matches", not difference, "bool", guest.name)
    if difference:
        fail(record, "wrong-result", difference, guest.name)


def matches(spec: Spec, told: dict[str, str]) -> str:
    """Return '' when the guest sees what *spec* gives it, else one sentence with every difference."""
    wrong = []
    if told["cpus_online"] != str(spec.vcpus):
        wrong.append(f"{told['cpus_online']} CPUs instead of {spec.vcpus}")
    if not LEAST_MEMORY * spec.memory_kib - KERNEL_KIB <= int(told["memory_kib"]) <= spec.memory_kib:
        wrong.append(f"{told['memory_kib']} KiB of memory of {spec.memory_kib}")
    disks = [f"{target(number)}:{disk.mib * MIB // SECTOR}" for number, disk in enumerate(spec.disks)]
    if sorted(told["disks"].split()) != disks:
        wrong.append(f"disks '{told['disks']}' instead of '{' '.join(disks)}' (512-byte sectors)")
    macs = sorted(nic.split(":", 1)[1].rsplit(":", 1)[0] for nic in told["nics"].split() if ":" in nic)
    if macs != sorted(spec.macs):
        wrong.append(f"network interfaces '{told['nics']}' instead of {', '.join(spec.macs)}")
    return f"The guest sees {', '.join(wrong)}." if wrong else ""


def pass_time(seconds: float) -> None:
    """Let *seconds* pass: the one wait whose end is a time and not an event."""
    end = time.monotonic() + seconds
    until(lambda: time.monotonic() >= end, seconds + 1, f"{seconds:g} s to pass")
