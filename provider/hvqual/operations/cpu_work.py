# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests whose CPUs work while some are plugged and unplugged: each computes rightly, is interrupted, called by others, loses no task."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from provider.hvqual import computing, guest_cpus, ipi, together
from provider.hvqual.expect import Expect
from provider.hvqual.guest_cpus import GuestCpus
from provider.hvqual.guests import Guest
from provider.hvqual.operations import boots, cpu_hotplug
from provider.hvqual.steps import fail
from provider.hvqual.vcpu_ids import apic_ids

if TYPE_CHECKING:
    from provider.hvqual.qemu_power import Below

# A job that nobody ends any more ends by itself.
LONGEST = 300.0


def each_computes(guest: Guest, expect: Expect | Below) -> None:
    """
    Have each CPU of the guest compute for a moment, bound to it; observe what `computing.advance` does and three more.

    Those are ipi_time and ipi_median: how long the first CPU waited for what it called for on each other one (s), the longest of some
    times and their median; and vcpu_interrupts: how many interrupts of its own timer each CPU had while it computed (count).
    """
    with expect.record.step("compute", guest.name):
        before = guest_cpus.told(guest)
        # First, as a guest that does not reach its CPUs is given up: to have it compute took 14 s then, and said no more (QEMU 7.2).
        called(guest, expect, before)
        computing.begin(guest, before.online, LONGEST)
        computing.advance(guest, expect.record, before.online)
        _interrupted(guest, expect, before, guest_cpus.told(guest))
        computing.end(guest)


def called(guest: Guest, expect: Expect | Below, cpus: GuestCpus) -> None:
    """
    Have the first of *cpus* call each other one; observe ipi_time and ipi_median (s).

    A guest of which one CPU is not reached in time stands still at each step, and is given up (hv_ipi_timeout, hv_ipi_slow).
    """
    most = ipi.Calls(guest.wanted.ipi_timeout, guest.wanted.ipi_slow)
    took = ipi.calls(guest, cpus.online, most)
    for cpu, calls in took.items():
        with boots.labelled(expect.record, guest, f"CPU {cpu}, APIC id {cpus.apic.get(cpu)}"):
            expect.record.observe("ipi_time", calls.longest, "s", guest.name)
            expect.record.observe("ipi_median", calls.median, "s", guest.name)
    late = [
        f"CPU {cpu} (APIC id {cpus.apic.get(cpu)}) after {it.longest:.2f} s, half of the times after {it.median:.3f} s or more"
        for cpu, it in took.items()
        if it.over(most)
    ]
    if late:
        ids = ", ".join(map(str, sorted(cpus.apic.values())))
        message = (
            f"An interrupt from CPU {min(cpus.online)} of '{guest.name}' does not reach its other CPUs in time: {'; '.join(late)}. "
            f"Its CPUs have the APIC ids {ids}."
        )
        fail(expect.record, "wrong-result", message, guest.name)


def _interrupted(guest: Guest, expect: Expect | Below, before: GuestCpus, after: GuestCpus) -> None:
    grown = {cpu: after.ticks.get(cpu, 0) - before.ticks.get(cpu, 0) for cpu in sorted(before.online)}
    for count in grown.values():
        expect.record.observe("vcpu_interrupts", count, "count", guest.name)
    silent = [cpu for cpu, count in grown.items() if count <= 0]
    if silent:
        message = f"No interrupt of their timers reaches the CPUs {silent} of '{guest.name}'."
        fail(expect.record, "wrong-result", message, guest.name)


@contextmanager
def loaded(guests: list[Guest], expect: Expect | Below) -> Iterator[None]:
    """
    Have each CPU of each guest compute for the length of the block; observe guest_errors (count): errors in its kernel's log meanwhile.

    After a block that failed nothing is ended in the guests: they may be what failed, and the jobs end by themselves.
    """
    before = dict(zip((guest.name for guest in guests), together.each(guests, guest_cpus.told)))
    together.each(guests, lambda guest: put_to_work(guest, before[guest.name].online))
    together.each(guests, lambda guest: computing.advance(guest, expect.record, before[guest.name].online))
    yield
    together.each(guests, lambda guest: _over(guest, expect, before[guest.name].errors))


def put_to_work(guest: Guest, cpus: Iterable[int]) -> None:
    """Start a job on each of *cpus* of the guest that takes as much of it as the case says (hv_job_share)."""
    computing.begin(guest, cpus, LONGEST, guest.wanted.job_share)


def _over(guest: Guest, expect: Expect | Below, errors: int) -> None:
    more = guest_cpus.told(guest).errors - errors
    expect.record.observe("guest_errors", more, "count", guest.name)
    if more:
        said = guest.ask("dmesg -r | grep '^<[0-3]>' | tail -n 5").strip()
        fail(
            expect.record,
            "wrong-result",
            f"The kernel of '{guest.name}' had {more} errors meanwhile: {said}",
            guest.name,
        )
    computing.end(guest)


def plug_and_load(guest: Guest, expect: Expect, count: int = 1) -> None:
    """Plug *count* vCPUs into a guest whose CPUs compute; the new ones do so too, and the others go on."""
    new = range(guest.spec.vcpus, guest.spec.vcpus + count)
    told = cpu_hotplug.plug(guest, expect, count)
    put_to_work(guest, told.by_apic(apic_ids(new, guest.spec)))
    goes_on(guest, expect, told.online)


def unplug_under_load(guest: Guest, expect: Expect, count: int = 1) -> None:
    """Unplug the last *count* vCPUs while they compute; no task is lost: theirs go on elsewhere, and all compute rightly."""
    gone = range(guest.spec.vcpus - count, guest.spec.vcpus)
    before = guest_cpus.told(guest)
    cpu_hotplug.unplug(guest, expect, count)
    goes_on(guest, expect, before.online, before.by_apic(apic_ids(gone, guest.spec)))


def goes_on(guest: Guest, expect: Expect | Below, cpus: Iterable[int], moved: Iterable[int] = ()) -> None:
    """Expect the jobs of *cpus* to go on, those that were *moved* anywhere (`computing.advance`)."""
    with expect.record.step("compute", guest.name):
        computing.advance(guest, expect.record, cpus, moved)


def round_under_load(guest: Guest, expect: Expect) -> None:
    """Plug a vCPU and unplug it again under load."""
    plug_and_load(guest, expect)
    unplug_under_load(guest, expect)
