# SPDX-License-Identifier: GPL-2.0-or-later
"""What VMs really got of the node while they worked: CPU time by the host's and by libvirt's count, memory behind the guest."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Callable

from avocado.core.exceptions import TestError
from virttest import virsh

from provider.hvqual import host_process, node_room, shares
from provider.hvqual.expect import Expect
from provider.hvqual.guests import Guest
from provider.hvqual.node_room import Room
from provider.hvqual.shares import Thread
from provider.hvqual.steps import fail
from provider.hvqual.wait import until

NANO = 1e-9
LOOK = 0.1


@dataclass(frozen=True)
class Use:
    """What one VM used in *seconds*: CPU seconds of each vCPU by the host, and of all by libvirt."""

    guest: Guest
    seconds: float
    vcpus: tuple[float, ...]
    libvirt: float

    @property
    def total(self) -> float:
        """CPU seconds of all vCPUs, by the host."""
        return sum(self.vcpus)


def pid_of(guest: Guest) -> int:
    """Return the guest's QEMU; TestError when it is not one, as then nothing can be measured."""
    found = host_process.emulators(guest.name)
    if len(found) != 1:
        message = f"'{guest.name}' should be one QEMU to be measured, the host has {len(found)}."
        raise TestError(message)
    return found[0].pid


def threads_of(guest: Guest) -> list[Thread]:
    """Return the threads of the guest's vCPUs; TestError when the host does not show one for each."""
    found = shares.vcpu_threads(pid_of(guest))
    if len(found) != guest.spec.vcpus:
        message = (
            f"'{guest.name}' should have {guest.spec.vcpus} vCPU threads, the host shows {[one.name for one in found]}."
        )
        raise TestError(message)
    return found


@contextmanager
def counted(guests: Sequence[Guest], expect: Expect) -> Iterator[list[Use]]:
    """Count what each guest uses while the block lasts; the list is filled at its end."""
    threads = [threads_of(guest) for guest in guests]
    start = time.monotonic()
    before = [_clocks(guest, mine, expect) for guest, mine in zip(guests, threads)]
    uses: list[Use] = []
    yield uses
    after = [_clocks(guest, mine, expect) for guest, mine in zip(guests, threads)]
    length = time.monotonic() - start
    for guest, old, new in zip(guests, before, after):
        uses.append(Use(guest, length, tuple(end - begin for begin, end in zip(old[0], new[0])), new[1] - old[1]))


def used(guests: Sequence[Guest], expect: Expect, seconds: float, look: Callable[[], object] = bool) -> list[Use]:
    """Return what each guest used in the next *seconds*; *look* is called all the while."""
    end = time.monotonic() + seconds

    def over() -> bool:
        look()
        return time.monotonic() >= end

    with counted(guests, expect) as uses:
        until(over, seconds + expect.timeout, f"{seconds:g} s of work", interval=LOOK)
    return uses


def _clocks(guest: Guest, threads: Sequence[Thread], expect: Expect) -> tuple[list[float], float]:
    """Return the CPU time of each vCPU by the host, and of all by libvirt."""
    vcpus = expect.truth.lookup(guest.name).vcpus()[0]
    return [shares.cpu_seconds(thread) for thread in threads], sum(vcpu[2] for vcpu in vcpus) * NANO


def observe_equal(uses: Sequence[Use], expect: Expect) -> None:
    """Observe share_deviation (ratio) of each VM: how far its CPU time is from the mean, by the host and by libvirt."""
    for use, by_host, by_libvirt in zip(
        uses, shares.deviations([use.total for use in uses]), shares.deviations([use.libvirt for use in uses])
    ):
        expect.record.observe("cpu_use", use.total / use.seconds, "CPUs", use.guest.name)
        expect.record.observe("share_deviation", abs(by_host), "ratio", use.guest.name)
        expect.record.observe("share_deviation", abs(by_libvirt), "ratio", use.guest.name)


def observe_all_run(uses: Sequence[Use], expect: Expect, cpu_time: float) -> None:
    """Observe vcpu_use (ratio) of each vCPU: its CPU time as a part of what it would get if *cpu_time* CPUs were shared evenly."""
    count = sum(len(use.vcpus) for use in uses)
    for use in uses:
        even = use.seconds * min(1.0, cpu_time / count)
        for spent in use.vcpus:
            expect.record.observe("vcpu_use", spent / even, "ratio", use.guest.name)


def observe_answer(expect: Expect) -> None:
    """Observe host_answer_time (s): how long a client that connects anew waits for the list of domains."""
    with expect.record.timed("host_answer_time"):
        answer = virsh.dom_list(uri=expect.uri, ignore_status=True, timeout=expect.timeout)
    if answer.exit_status:
        fail(expect.record, "wrong-result", f"libvirt does not answer under load: {answer.stderr_text.strip()}", None)


def resident(guest: Guest, expect: Expect) -> None:
    """Observe ram_resident (ratio): how much of the guest's memory the host really holds."""
    found = shares.ram(pid_of(guest), guest.spec.pieces_kib) or []
    held = sum(piece.resident_kib for piece in found) / guest.spec.memory_kib
    expect.record.observe("ram_resident", held, "ratio", guest.name)


def room_of(guest: Guest, expect: Expect) -> Room:
    """Return what the node has for guests, told by libvirt and by the limits over this guest's QEMU (`node_room`)."""
    wanted = guest.wanted
    around = node_room.around(pid_of(guest), expect.truth.connection)
    return node_room.rest(around, wanted.reserve_cpus, wanted.reserve_memory_mib, wanted.max_memory_mib)


def observe_big(guest: Guest, expect: Expect) -> None:
    """
    Observe how much of the node the one VM has: vcpus_missing (count), and memory_share (ratio) of what is for guests.

    And that it has no more than that: memory_sum_ratio.
    """
    room = room_of(guest, expect)
    told = guest.witness.report()
    expect.record.observe("vcpus_missing", room.cpus - int(told["cpus_online"]), "count", guest.name)
    expect.record.observe("memory_share", _given([guest], expect) / room.memory_kib, "ratio", guest.name)
    observe_together([guest], expect)


def observe_together(guests: Sequence[Guest], expect: Expect) -> None:
    """Observe vms_running (count), and memory_sum_ratio: what they have together as a part of what is for guests."""
    running = {domain.name() for domain in expect.truth.connection.listAllDomains() if domain.isActive()}
    expect.record.observe("vms_running", sum(guest.name in running for guest in guests), "count")
    room = room_of(guests[0], expect)
    expect.record.observe("memory_sum_ratio", _given(guests, expect) / room.memory_kib, "ratio")


def _given(guests: Sequence[Guest], expect: Expect) -> int:
    """Return the memory that *guests* have now by libvirt (KiB)."""
    return sum(expect.truth.lookup(guest.name).info()[2] for guest in guests)


class Strays:
    """Which pinned vCPUs ran where they must not."""

    def __init__(self, guests: Sequence[Guest]) -> None:
        """Watch the pinned ones of *guests*."""
        self.guests = [guest for guest in guests if guest.spec.pins]
        self.watched = [(guest, list(zip(threads_of(guest), guest.spec.pins))) for guest in self.guests]
        self.seen: dict[str, int] = {guest.name: 0 for guest in self.guests}

    def look(self) -> None:
        """Look once where each ran last."""
        for guest, pins in self.watched:
            self.seen[guest.name] += sum(shares.last_cpu(thread) != cpu for thread, cpu in pins)

    def conclude(self, uses: Sequence[Use], expect: Expect) -> None:
        """Observe pin_strays (count); TestError when a pinned vCPU did not run, as then its place proves nothing."""
        for use in uses:
            if use.guest.name in self.seen:
                if min(use.vcpus) <= 0:
                    message = f"A pinned vCPU of '{use.guest.name}' did not run at all: {use.vcpus} s."
                    raise TestError(message)
                expect.record.observe("pin_strays", self.seen[use.guest.name], "count", use.guest.name)
