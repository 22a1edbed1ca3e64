# SPDX-License-Identifier: GPL-2.0-or-later
"""
Pinning vCPUs to host CPUs, of what runs (live) and of what will run (config); each is told by everybody who can know.

What they are pinned to is kept by name of the guest: the model is what was asked for, not what libvirt says.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Callable

from avocado.core.exceptions import TestError
from virttest import virsh

import libvirt
from provider.hvqual import cpu_use, load, pins, residency, shares, thread_cgroup
from provider.hvqual.expect import Expect
from provider.hvqual.guests import Guest
from provider.hvqual.operations import power, restart, saving
from provider.hvqual.pins import Pins, Place
from provider.hvqual.residency import Seen
from provider.hvqual.stand import Stand
from provider.hvqual.steps import fail

LIVE, CONFIG = libvirt.VIR_DOMAIN_AFFECT_LIVE, libvirt.VIR_DOMAIN_AFFECT_CONFIG
FLAGS = {LIVE: "--live", CONFIG: "--config"}
WAYS: dict[str, tuple[Callable[[Guest, Expect], object], ...]] = {
    "save_restore": (saving.saved_and_restored,),
    "reset": (functools.partial(restart.restart, method="reset"),),
    "start": (power.destroy, power.boots_again),
}
# Of a CPU, by which a guest's CPU is told apart: as short as it may be, as long as ticks on the others do not count.
ALONE = 0.5
ALONE_TIMEOUT = 20


@dataclass
class Pinned:
    """The host CPUs of a guest's vCPUs: now, and from its next start on."""

    live: Pins
    config: Pins


class Pinning:
    """The pins of all guests of a stand, by plans over all of them."""

    def __init__(self, stand: Stand) -> None:
        """Begin with what the definitions say (`pins.in_turn`)."""
        self.stand, self.expect, self.record = stand, stand.expect, stand.case.record
        self.node = pins.node_cpus(stand.case.wanted)
        self.pinned: dict[str, Pinned] = {}
        for guest in stand.guests:
            each = tuple(frozenset([cpu]) for cpu in guest.spec.pins)
            self.pinned[guest.name] = Pinned(each, each)

    def work(self, share: float, longest: float) -> AbstractContextManager[None]:
        """Have the CPUs of all guests busy for *share* percent while the block lasts."""
        return load.burning(self.stand.guests, share, longest)

    def holds(self, seconds: float) -> None:
        """
        Expect that all who know tell the pins, and that for *seconds* each vCPU runs nowhere else.

        Observe pins_as_asked (bool), pin_strays and pin_moves (count).
        """
        self.told()
        with self.record.step("watch places"):
            places = {guest.name: places_of(guest, self.pinned[guest.name].live) for guest in self.stand.guests}
            seen = residency.watch([one for each in places.values() for one in each], seconds)
        self.stand.each(lambda guest, expect: stays(guest, expect, _of(seen, places[guest.name])))

    def told(self) -> None:
        """Expect that all who know tell the pins of all guests (`told`)."""
        self.stand.each(lambda guest, expect: told(guest, expect, self.pinned[guest.name]))

    def live(self, plan: str) -> None:
        """Pin all vCPUs of all running guests by *plan*; their definitions stay as they are."""
        self._by(plan, LIVE)

    def config(self, plan: str) -> None:
        """Pin all vCPUs in the definitions of all guests by *plan*; what runs stays as it is."""
        self._by(plan, CONFIG)

    def outlives(self, way: str) -> None:
        """Have the guests go through *way* (save_restore, reset, start); TestError for another. After a start their definitions hold."""
        if way not in WAYS:
            message = f"hv_pin_survives names '{way}', which is none of {', '.join(WAYS)}."
            raise TestError(message)
        for operation in WAYS[way]:
            self.stand.each(operation)
        if way == "start":
            for pinned in self.pinned.values():
                pinned.live = pinned.config

    def _by(self, plan: str, flag: int) -> None:
        counts = [guest.spec.vcpus for guest in self.stand.guests]
        names = [guest.name for guest in self.stand.guests]
        wanted = dict(zip(names, pins.planned(plan, counts, self.node)))
        with self.record.step(f"pin {plan} {FLAGS[flag]}"):
            self.stand.each(lambda guest, expect: pin(guest, expect, wanted[guest.name], flag))
        for name, each in wanted.items():
            if flag == LIVE:
                self.pinned[name].live = each
            else:
                self.pinned[name].config = each


def pin(guest: Guest, expect: Expect, wanted: Pins, flag: int = LIVE) -> None:
    """Pin each vCPU of the guest, one after the other as users do."""
    for vcpu, place in enumerate(wanted):
        expect.act(virsh.vcpupin, guest.name, str(vcpu), pins.text(place), FLAGS[flag])


def told(guest: Guest, expect: Expect, wanted: Pinned) -> None:
    """Expect libvirt, virsh, the XML and the host's kernel to tell the pins, of what runs and of the definition; observe pins_as_asked."""
    with expect.record.step("compare pins", guest.name):
        wrong = [
            f"{who} tells {_text(found)} instead of {_text(each)}."
            for who, found, each in [*_by_libvirt(guest, expect, wanted), *_by_host(guest, wanted.live)]
            if found != each
        ]
        expect.record.observe("pins_as_asked", not wrong, "bool", guest.name)
        if wrong:
            fail(expect.record, "wrong-result", f"'{guest.name}' is not pinned as asked: {' '.join(wrong)}", guest.name)


def _by_libvirt(guest: Guest, expect: Expect, wanted: Pinned) -> list[tuple[str, Pins, Pins]]:
    """Return what libvirt-python, virsh and the XML tell, each of what runs and of the definition."""
    domain, found = expect.truth.lookup(guest.name), []
    for flag, each in ((LIVE, wanted.live), (CONFIG, wanted.config)):
        option = FLAGS[flag]
        rows = domain.vcpuPinInfo(flag)[: guest.spec.vcpus]
        said = virsh.vcpupin(guest.name, options=option, uri=expect.uri, ignore_status=True).stdout_text
        xml = expect.truth.xml(guest.name, inactive=flag == CONFIG)
        tags = {tag.get("vcpu"): tag.get("cpuset", "") for tag in xml.iterfind("cputune/vcpupin")}
        by_number = pins.told(said)
        numbers = [str(number) for number in range(guest.spec.vcpus)]
        found += [
            (f"libvirt ({option})", tuple(pins.of_map(row) for row in rows), each),
            (f"virsh ({option})", tuple(by_number.get(number, frozenset()) for number in numbers), each),
            (f"the XML ({option})", tuple(frozenset(shares.cpus(tags.get(number, ""))) for number in numbers), each),
        ]
    return found


def _by_host(guest: Guest, wanted: Pins) -> list[tuple[str, Pins, Pins]]:
    """Return what the host's kernel tells of the threads and of their cgroups."""
    threads = cpu_use.threads_of(guest)
    groups = [thread_cgroup.of(thread, "cpuset").cpus() for thread in threads]
    return [
        ("the scheduler", tuple(frozenset(shares.allowed(thread)) for thread in threads), wanted),
        ("the cgroup", tuple(groups), wanted),
    ]


def _text(each: Pins) -> str:
    return " ".join(f"{vcpu}:{pins.text(place) or 'nothing'}" for vcpu, place in enumerate(each))


def places_of(guest: Guest, wanted: Pins) -> list[tuple[shares.Thread, Place]]:
    """Return the threads of the guest's vCPUs, each with where it may run."""
    return list(zip(cpu_use.threads_of(guest), wanted))


def _of(seen: Sequence[Seen], places: Sequence[tuple[shares.Thread, Place]]) -> list[Seen]:
    """Return those of *seen* that are threads of *places*."""
    mine = {thread.tid for thread, _ in places}
    return [one for one in seen if one.thread.tid in mine]


def stays(guest: Guest, expect: Expect, seen: Sequence[Seen]) -> None:
    """Observe pin_strays and pin_moves (count) of the guest; TestFail when a thread of it ran where it may not."""
    strays, moves = sum(one.strays for one in seen), sum(one.moves for one in seen)
    expect.record.observe("pin_looks", sum(one.samples for one in seen), "count", guest.name)
    expect.record.observe("pin_strays", strays, "count", guest.name)
    expect.record.observe("pin_moves", moves, "count", guest.name)
    if strays or moves:
        where = "; ".join(one.told for one in seen if one.strays or one.moves)
        fail(expect.record, "wrong-result", f"'{guest.name}' runs where it is not pinned: {where}.", guest.name)


def own_thread(guest: Guest, expect: Expect) -> None:
    """Observe own_vcpu_share (ratio) for each CPU of the guest: what its thread has of all CPU time when only it works in the guest."""
    threads = cpu_use.threads_of(guest)
    for number in range(guest.spec.vcpus):
        before = [shares.cpu_seconds(thread) for thread in threads]
        program = f"perl -e '1 while (times)[0] < {ALONE}'"
        guest.ask(f"taskset -c {number} timeout {ALONE_TIMEOUT} {program}")
        used = [shares.cpu_seconds(thread) - old for thread, old in zip(threads, before)]
        expect.record.observe("own_vcpu_share", used[number] / sum(used), "ratio", guest.name)
