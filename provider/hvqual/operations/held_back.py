# SPDX-License-Identifier: GPL-2.0-or-later
"""
Guests that are held back by a limit on their CPU time: seen by the host's scheduler and by what they get done inside.

Each limit is a part of what the guest gets without one, so that it is the limit that holds it back and not the node; that it
did so is told by the cgroup, which counts the periods in which those within had to wait. Guests are measured in turns of as many
as the node has CPUs for: what one of several gets that share CPUs depends on the others.
"""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from avocado.core.exceptions import TestError

from provider.hvqual import counting, cpu_use, pins, shares, together
from provider.hvqual.counting import Count
from provider.hvqual.expect import Expect
from provider.hvqual.guests import Guest
from provider.hvqual.host_process import PROC
from provider.hvqual.operations import bandwidth
from provider.hvqual.operations.bandwidth import CONFIG, LIVE, NO_LIMIT
from provider.hvqual.stand import Stand
from provider.hvqual.steps import pass_time
from provider.hvqual.thread_cgroup import Quota

# Three periods of a limit, so that what was granted before is used up.
SETTLE = 0.3
# Of proc(5)'s stat, behind the name: the time of all threads of the process, also of those that have ended, in ticks.
UTIME, STIME = 14 - 3, 15 - 3
# Of a CPU's line in /proc/stat, behind its name: idle and waiting for disks; the eight up to what a hypervisor below took are all its time.
ALL, NOTHING = slice(0, 8), slice(3, 5)
# What others may use of the node while it is found out what guests can get, and how often that is tried.
CALM, TRIES = 0.15, 6


@dataclass(frozen=True)
class Speed:
    """How fast a guest works: CPU seconds a second of each vCPU and of the whole QEMU by the host, turns a second by the guest."""

    vcpus: tuple[float, ...]
    whole: float
    inside: float

    @property
    def per_cpu(self) -> float:
        """Turns that the guest makes of one CPU second of its vCPUs."""
        return self.inside / sum(self.vcpus)

    def got(self, what: str) -> tuple[float, ...]:
        """Return what each of those whom a limit on *what* is for has got of a CPU."""
        return (self.whole,) if what == "global" else self.vcpus


@dataclass(frozen=True)
class Sample:
    """What host and guest tell at one moment: CPU seconds so far of the whole QEMU and of each vCPU, and the guest's counts."""

    at: float
    whole: float
    vcpus: tuple[float, ...]
    counts: Mapping[int, Count]


@contextmanager
def counting_on(guests: Sequence[Guest], longest: float) -> Iterator[None]:
    """Have each CPU of each guest count for the length of the block."""
    together.each(guests, lambda guest: counting.begin(guest, longest))
    yield
    together.each(guests, counting.end)


def in_turns(guests: Sequence[Guest], node: Sequence[int]) -> list[list[Guest]]:
    """Return *guests* in groups that have a CPU of *node* for each vCPU; one that wants more is alone."""
    groups: list[list[Guest]] = []
    for guest in guests:
        room = (
            group
            for group in groups
            if sum(one.spec.vcpus for one in group) + guest.spec.vcpus <= len(node)
            and not any(set(one.spec.pins) & set(guest.spec.pins) for one in group)
        )
        found = next(room, None)
        if found is None:
            groups.append([guest])
        else:
            found.append(guest)
    return groups


def speed(name: str, old: Sample, new: Sample) -> Speed:
    """Return how fast the guest *name* was between two samples; TestError when one of its CPUs did not work."""
    length = new.at - old.at
    vcpus = tuple((after - before) / length for before, after in zip(old.vcpus, new.vcpus))
    found = Speed(vcpus, (new.whole - old.whole) / length, counting.rate(old.counts, new.counts))
    if min(vcpus) <= 0 or found.inside <= 0:
        message = f"'{name}' should work and does not: {found}."
        raise TestError(message)
    return found


def _sample(guest: Guest) -> Sample:
    """Return what host and guest tell now: the host's numbers are those in the middle of the time that the guest took to answer."""
    before, counts, after = _clocks(guest), counting.told(guest), _clocks(guest)
    at, whole, *vcpus = ((old + new) / 2 for old, new in zip(before, after))
    return Sample(at, whole, tuple(vcpus), counts)


def _clocks(guest: Guest) -> list[float]:
    """Return when it was asked, and the CPU seconds of the guest's whole QEMU and of each vCPU until then."""
    whole = ticks((PROC / str(cpu_use.pid_of(guest)) / "stat").read_text("utf-8", "replace"))
    return [time.monotonic(), whole, *map(shares.cpu_seconds, cpu_use.threads_of(guest))]


def ticks(stat: str) -> float:
    """Return the CPU seconds of a process, of the line of its stat."""
    fields = stat[stat.rindex(")") + 2 :].split()
    return (int(fields[UTIME]) + int(fields[STIME])) / os.sysconf("SC_CLK_TCK")


class HeldBack:
    """A turn of guests, each CPU of which counts, limited to *percent* of what they get when nothing limits them."""

    def __init__(self, stand: Stand, guests: Sequence[Guest], percent: float, seconds: float) -> None:
        """Find out how fast they are; each measurement takes *seconds*."""
        self.stand, self.guests, self.percent, self.seconds = stand, guests, percent, seconds
        self.expect, self.record = stand.expect, stand.case.record
        self.free = self.undisturbed("without a limit")

    def limited(self, what: str) -> None:
        """
        Limit *what* of each guest (vcpu, global) while it runs: all who know tell it, and the guest gets no more.

        Observe quota_used and quota_had (ratio: of the quota), quota_waits (count of periods), work_error and work_left (ratio).
        """
        quotas = {guest.name: self._part(guest, what) for guest in self.guests}
        together.each(self.guests, lambda guest: _limit(guest, self.expect, what, quotas[guest.name]))
        waits = {guest.name: _waits(guest, what) for guest in self.guests}
        with self.record.step(f"work under {what}"):
            now = self._speeds(what)
        for guest in self.guests:
            more = [new - old for old, new in zip(waits[guest.name], _waits(guest, what))]
            self.record.observe("quota_waits", min(more), "count", guest.name)
            self._judge(guest, what, quotas[guest.name], now[guest.name])

    def free_again(self, what: str) -> None:
        """
        Lift the limit on *what*: all who know tell it, nobody waits for it any more, and each guest is as fast as before.

        Observe free_waits (count of periods), cpu_recovered (ratio: of the CPU time that it had before, by the host) and speed_recovered
        (ratio: of the work that it did, by the guest). Without KVM the latter says little: what is done of a CPU second is not as steady as
        the CPU seconds (QEMU 7.2 under TCG: half as much or twice as much from one second to the next), so a lab's limits are wide.
        """
        together.each(self.guests, lambda guest: _limit(guest, self.expect, what, NO_LIMIT))
        waits = {guest.name: _waits(guest, what) for guest in self.guests}
        now = self.undisturbed(f"without {what} again")
        for guest in self.guests:
            more = [new - old for old, new in zip(waits[guest.name], _waits(guest, what))]
            self.record.observe("free_waits", max(more), "count", guest.name)
            free, again = self.free[guest.name], now[guest.name]
            had = min(new / old for old, new in zip(free.got(what), again.got(what)))
            self.record.observe("cpu_recovered", had, "ratio", guest.name)
            self.record.observe("speed_recovered", again.inside / free.inside, "ratio", guest.name)

    def undisturbed(self, name: str) -> dict[str, Speed]:
        """Return how fast they are while nobody else uses the node to speak of, measured again when somebody did; TestError at last."""
        others: list[float] = []
        for _ in range(TRIES):
            found, share = self._look(name)
            others.append(share)
            self.record.observe("others_use", share, "ratio")
            if share <= CALM:
                return found
        told = ", ".join(f"{one:.0%}" for one in others)
        message = f"Others than the guests used {told} of the node's CPUs while they were measured: what guests can get here is unknown."
        raise TestError(message)

    def _look(self, name: str) -> tuple[dict[str, Speed], float]:
        """Return how fast each guest works for a while, and what part of the node's CPUs others used meanwhile."""
        node = pins.node_cpus(self.stand.case.wanted)
        with self.record.step(f"work {name}"):
            before = _node_and_guests(node, self.stand.guests)
            found = self._speeds(name)
            after = _node_and_guests(node, self.stand.guests)
        return found, ((after[1] - before[1]) - (after[2] - before[2])) / (after[0] - before[0]) / len(node)

    def _speeds(self, name: str) -> dict[str, Speed]:
        """Return how fast each guest works for a while, kept as evidence."""
        pass_time(SETTLE)
        first = together.each(self.guests, _sample)
        pass_time(self.seconds)
        last = together.each(self.guests, _sample)
        found = {guest.name: speed(guest.name, old, new) for guest, old, new in zip(self.guests, first, last)}
        told = json.dumps({guest: dataclasses.asdict(one) for guest, one in found.items()}, indent=1)
        file = f"speeds-{self.guests[0].name}-{name.replace(' ', '-')}.json"
        self.record.evidence(file, told, "How fast each guest worked: CPUs, and turns a second.")
        return found

    def _part(self, guest: Guest, what: str) -> Quota:
        return bandwidth.part_of(min(self.free[guest.name].got(what)), self.percent)

    def _judge(self, guest: Guest, what: str, quota: Quota, now: Speed) -> None:
        observe, free, got = self.record.observe, self.free[guest.name], now.got(what)
        observe("quota_used", max(got) / quota.share, "ratio", guest.name)
        observe("quota_had", min(got) / quota.share, "ratio", guest.name)
        observe("work_left", now.inside / free.inside, "ratio", guest.name)
        observe("work_error", abs(now.per_cpu / free.per_cpu - 1), "ratio", guest.name)


def _node_and_guests(node: Sequence[int], guests: Sequence[Guest]) -> tuple[float, float, float]:
    """Return when it was asked, and the CPU seconds of the node's CPUs and of all QEMUs of *guests* until then."""
    used = sum(_clocks(guest)[1] for guest in guests)
    return time.monotonic(), busy((PROC / "stat").read_text("ascii"), node), used


def busy(stat: str, node: Sequence[int]) -> float:
    """Return for how many seconds the CPUs of *node* did something, or a hypervisor below took them, of the lines of /proc/stat."""
    found = 0
    for line in stat.splitlines():
        name, *fields = line.split()
        if name in {f"cpu{cpu}" for cpu in node}:
            found += sum(map(int, fields[ALL])) - sum(map(int, fields[NOTHING]))
    return found / os.sysconf("SC_CLK_TCK")


def _limit(guest: Guest, expect: Expect, what: str, quota: Quota) -> None:
    bandwidth.limit(guest, expect, what, quota)
    bandwidth.told(guest, expect, what, quota)


def _waits(guest: Guest, what: str) -> list[int]:
    return [group.throttled() for group in bandwidth.groups(guest, what)]


def defined_only(guest: Guest, expect: Expect, what: str, percent: float) -> None:
    """Limit *what* in the guest's definition to *percent* of a CPU: it tells it, and what runs stays without a limit."""
    quota = bandwidth.part_of(1, percent)
    bandwidth.limit(guest, expect, what, quota, CONFIG)
    bandwidth.told(guest, expect, what, quota, CONFIG)
    bandwidth.told(guest, expect, what, NO_LIMIT, LIVE)


def told_only(guest: Guest, expect: Expect, what: str, percent: float) -> None:
    """Limit *what* of the guest (emulator, iothread) to *percent* of a CPU and let it go: told by all who know, not measured."""
    if what == "iothread" and not guest.spec.iothreads:
        return
    for quota in (bandwidth.part_of(1, percent), NO_LIMIT):
        _limit(guest, expect, what, quota)
