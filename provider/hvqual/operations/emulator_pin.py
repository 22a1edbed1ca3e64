# SPDX-License-Identifier: GPL-2.0-or-later
"""
Pinning what of QEMU is no vCPU: its own threads (emulator) and its IOThreads; also threads that are born long after the pinning.

A thread belongs to what libvirt put it into, which its cgroup tells: QEMU's workers are born in the emulator, or in the IOThread
whose disk they work for.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Callable

from avocado.core.exceptions import TestError
from virttest import virsh

from provider.hvqual import cpu_use, pins, shares, thread_cgroup
from provider.hvqual.expect import Expect
from provider.hvqual.guests import Guest
from provider.hvqual.host_config import Shape
from provider.hvqual.operations.pinning import CONFIG, FLAGS, LIVE
from provider.hvqual.params import Guests
from provider.hvqual.pins import Place
from provider.hvqual.shares import Thread
from provider.hvqual.stand import Stand
from provider.hvqual.steps import fail, pass_time
from provider.hvqual.wait import WaitTimeoutError, until

EMULATOR = "emulator"
LOOK = 0.2
# Behind the disk canary, which lies at 1 MiB; what lies so far apart no kernel makes one request of.
FIRST, APART = 4 << 20, 16 << 10
# Requests of a burst; each is much larger than the one before, as QEMU keeps its workers for some seconds and makes more only for more at
# once. A guest's kernel hands over 32 at a time, which a worker that is idle still while they come takes alone (seen: of 17 none was born).
# QEMU has 64 of them at the most (util/thread-pool.c): a first burst that gets them all (96 did) leaves none to be born in the next one.
BURSTS = (48, 1024)
# Where none was born (one worker of an IOThread was enough for 48) some more are tried at once, which is quicker than until workers end:
# 10 s after their last work, and a guest that syncs has some. With four times as many all 64 were born, and none in the next burst.
MORE = (0, 16, 32, 48)
# What QEMU calls those of its threads that do I/O, which end when they had nothing to do for 10 s.
WORKER, PATIENCE = "worker", 30.0
# Letters of an MD5 sum.
DIGEST = 32


@dataclass
class Confined:
    """Where the parts of a guest's QEMU must run: 'emulator' and 'iothreadN', now and from the next start on."""

    live: dict[str, Place] = field(default_factory=dict)
    config: dict[str, Place] = field(default_factory=dict)


def by_definition(guest: Guest) -> Confined:
    """Return where the definition lets the guest's emulator run."""
    place = frozenset(guest.spec.tuning.emulator_cpus)
    return Confined({EMULATOR: place}, {EMULATOR: place})


def with_iothread(guest: Guest, expect: Expect) -> list[str]:
    """Return the guest's IOThreads ('iothread1', ...); one that has none gets one while it runs, whose disk goes without it."""
    if not guest.spec.iothreads:
        expect.act(virsh.iothreadadd, guest.name, "1", "--live")
        found = [thread.name for thread in shares.iothreads(cpu_use.pid_of(guest))]
        if found != ["IO iothread1"]:
            message = (
                f"An IOThread was added to '{guest.name}', virsh reported success; its QEMU has the IOThreads {found}."
            )
            fail(expect.record, "wrong-result", message, guest.name)
    return [f"iothread{number}" for number in range(1, max(1, guest.spec.iothreads) + 1)]


def pin(guest: Guest, expect: Expect, confined: Confined, wanted: Mapping[str, Place], flag: int = LIVE) -> None:
    """Pin emulator and IOThreads of the guest as *wanted*, one after the other as users do."""
    for part, place in wanted.items():
        if part == EMULATOR:
            expect.act(virsh.emulatorpin, guest.name, pins.text(place), FLAGS[flag])
        else:
            number = part[len("iothread") :]
            expect.act(virsh.iothreadpin, guest.name, number, pins.text(place), FLAGS[flag])
    (confined.live if flag == LIVE else confined.config).update(wanted)


def told(guest: Guest, expect: Expect, confined: Confined) -> None:
    """Expect libvirt, virsh, the XML and the host's kernel to tell where emulator and IOThreads may run; observe pins_as_asked."""
    with expect.record.step("compare pins", guest.name):
        wrong = []
        for flag, wanted in ((LIVE, confined.live), (CONFIG, confined.config)):
            for who, found in _by_libvirt(guest, expect, flag).items():
                wrong += [
                    f"{who} ({FLAGS[flag]}) tells {pins.text(found.get(part, ())) or 'nothing'} of {part} instead of {pins.text(place)}."
                    for part, place in wanted.items()
                    if found.get(part) != place
                ]
        wrong += strays(threads(guest), confined.live)
        expect.record.observe("pins_as_asked", not wrong, "bool", guest.name)
        if wrong:
            fail(expect.record, "wrong-result", f"'{guest.name}' is not pinned as asked: {' '.join(wrong)}", guest.name)


def _by_libvirt(guest: Guest, expect: Expect, flag: int) -> dict[str, dict[str, Place]]:
    """Return what libvirt-python, virsh and the XML tell of the parts."""
    domain, option = expect.truth.lookup(guest.name), FLAGS[flag]
    ask = {"options": option, "uri": expect.uri, "ignore_status": True}
    said = pins.told(virsh.emulatorpin(guest.name, **ask).stdout_text)
    listed = pins.told(virsh.iothreadinfo(guest.name, **ask).stdout_text)
    xml = expect.truth.xml(guest.name, inactive=flag == CONFIG)
    written = {f"iothread{tag.get('iothread')}": str(tag.get("cpuset")) for tag in xml.iterfind("cputune/iothreadpin")}
    emulator = xml.find("cputune/emulatorpin")
    if emulator is not None:
        written[EMULATOR] = str(emulator.get("cpuset"))
    return {
        "libvirt": {
            EMULATOR: pins.of_map(domain.emulatorPinInfo(flag)),
            **{f"iothread{number}": pins.of_map(row) for number, row in domain.ioThreadInfo(flag)},
        },
        "virsh": {EMULATOR: said.get("*", frozenset()), **{f"iothread{key}": place for key, place in listed.items()}},
        "the XML": {part: frozenset(shares.cpus(text)) for part, text in written.items()},
    }


@dataclass(frozen=True)
class At:
    """One thread of a QEMU: what it belongs to and where it may run."""

    thread: Thread
    part: str
    may: Place


def threads(guest: Guest) -> list[At]:
    """Return the threads of the guest's QEMU that are no vCPUs, those that end just now left out."""
    found = []
    pid = cpu_use.pid_of(guest)
    for thread in shares.threads(pid):
        if not shares.VCPU.fullmatch(thread.name):
            try:
                part = thread_cgroup.of(thread, "cpuset").name
                found.append(At(thread, part, frozenset(shares.allowed(thread))))
            except (OSError, TestError):
                # Gone meanwhile; one that is still there and cannot be looked at is a fault.
                if thread.folder.exists():
                    raise
    return found


def strays(found: list[At], wanted: Mapping[str, Place]) -> list[str]:
    """Return a sentence for each thread that may run elsewhere than its part, or is of no such part; an IOThread may be unpinned yet."""
    return [
        f"The thread '{at.thread.name}' ({at.thread.tid}) of '{at.part}' may run on {pins.text(at.may)} "
        f"instead of {pins.text(wanted.get(at.part, ())) or 'nowhere: nothing of that name was pinned'}."
        for at in found
        if at.may != wanted.get(at.part) and (at.part in wanted or not at.part.startswith("iothread"))
    ]


def burst(guest: Guest, expect: Expect, confined: Confined, requests: int) -> None:
    """
    Have the guest write so many *requests* to its disk at once and read them again; expect each thread that is there or is born to stay.

    When none was born, as those that were there sufficed, it is done with more requests, and then once more after they have ended.
    Observe threads_born, pin_strays (count) and io_right (bool). TestError when no thread was born: nothing was shown then.
    """
    born = next(filter(None, (_burst(guest, expect, confined, requests + more) for more in MORE)), 0)
    if not born:
        with contextlib.suppress(WaitTimeoutError):
            until(lambda: not _workers(guest), PATIENCE, f"the workers of '{guest.name}' to end", interval=LOOK)
        born = _burst(guest, expect, confined, requests, again=True)
    expect.record.observe("threads_born", born, "count", guest.name)
    if not born:
        message = f"The I/O of '{guest.name}' made no thread of its QEMU: where such run is unknown."
        raise TestError(message)


def _workers(guest: Guest) -> list[At]:
    return [at for at in threads(guest) if at.thread.name == WORKER]


def _burst(guest: Guest, expect: Expect, confined: Confined, requests: int, *, again: bool = False) -> int:
    """Have the guest do so many requests, and as many more as workers wait for some; return how many threads were born meanwhile."""
    script = _script(guest, requests + len(_workers(guest)), again=again)
    before = {at.thread.tid for at in threads(guest)}
    with expect.record.step("burst of I/O", guest.name), ThreadPoolExecutor(1) as pool:
        ran, born = _clocks(guest), set()
        wrong: list[str] = []
        writing = pool.submit(guest.ask, script)
        for at in _looks(guest, writing):
            born |= {at.thread.tid} - before
            wrong += strays([at], confined.live) + _stray(at, ran, confined.live)
        sums = writing.result().split()
    expect.record.observe("pin_strays", len(wrong), "count", guest.name)
    if wrong:
        each = " ".join(sorted(set(wrong)))
        fail(expect.record, "wrong-result", f"Under I/O '{guest.name}' leaves its pins: {each}", guest.name)
    _read_again(guest, expect, sums)
    return len(born)


def _read_again(guest: Guest, expect: Expect, sums: list[str]) -> None:
    """Expect what was to be written and what was read to have the same checksum; observe io_right."""
    if [len(one) for one in sums] != [DIGEST, DIGEST]:
        message = f"'{guest.name}' should have told two checksums of its disk; it told {sums}."
        raise TestError(message)
    expect.record.observe("io_right", sums[0] == sums[1], "bool", guest.name)
    if sums[0] != sums[1]:
        message = f"'{guest.name}' wrote to its disk under pinning and read something else: {sums}"
        fail(expect.record, "data-loss", message, guest.name)


def _script(guest: Guest, requests: int, *, again: bool = False) -> str:
    """Return what writes past the canary, and prints the checksums of what was to be written and of what the disk then holds."""
    count = min(requests, ((guest.spec.disks[0].mib << 20) - FIRST) // APART)
    each = f"for my $n (0 .. {count - 1})"
    # Perl without a module, as all that is certain to be in a guest.
    opened = f"open(my $d, shift, q(/dev/vda)) or die; {each} {{ sysseek($d, {FIRST} + $n * {APART}, 0);"
    # Other data in each burst: what a burst before has written is not what this one has.
    made = f'pack("N", {(int(again) << 28) + (requests << 16)} + $n) x 1024'
    return (
        f"perl -e '{opened} syswrite($d, {made}) == 4096 or die }}' '+<'; sync; echo 3 > /proc/sys/vm/drop_caches; "
        f"perl -e '{each} {{ print {made} }}' | md5sum | cut -c1-{DIGEST}; "
        f"perl -e '{opened} sysread($d, my $b, 4096); print $b }}' '<' | md5sum | cut -c1-{DIGEST}"
    )


def _looks(guest: Guest, writing: Future[str]) -> Iterator[At]:
    """Return where the threads are, again and again until the guest has done its writing."""
    while not writing.done():
        yield from threads(guest)
        pass_time(LOOK)
    yield from threads(guest)


def _clocks(guest: Guest) -> dict[int, float]:
    """Return the CPU time of each thread so far."""
    return {at.thread.tid: shares.cpu_seconds(at.thread) for at in threads(guest)}


def _stray(at: At, ran: dict[int, float], wanted: Mapping[str, Place]) -> list[str]:
    """Return a sentence when the thread has run since it was asked before (one that is new has), and not where its part may."""
    try:
        now = shares.cpu_seconds(at.thread)
        last = shares.last_cpu(at.thread)
    except (OSError, TestError):
        # It has ended; until then it was looked at.
        return []
    before, ran[at.thread.tid] = ran.get(at.thread.tid, 0.0), now
    if now <= before or last in wanted.get(at.part, ()):
        return []
    return [f"'{at.thread.name}' of '{at.part}' ran on {last}."]


class EmulatorPinning:
    """The pins of emulator and IOThreads of all guests of a stand, which take the node's CPUs for guests in turn."""

    def __init__(self, stand: Stand) -> None:
        """Have an IOThread in each guest; the emulators are where the definitions say."""
        self.stand, self.node = stand, pins.node_cpus(stand.case.wanted)
        self.confined = {guest.name: by_definition(guest) for guest in stand.guests}
        self.holds()
        self.parts = dict(zip((guest.name for guest in stand.guests), stand.each(with_iothread)))

    def holds(self) -> None:
        """Expect all who know to tell where emulator and IOThreads of each guest may run; observe pins_as_asked."""
        self.stand.each(lambda guest, expect: told(guest, expect, self.confined[guest.name]))

    def burst(self, requests: int) -> None:
        """Have the guests do I/O at once and expect their QEMUs' threads to stay, also those that are born (`burst`)."""
        self.stand.each(lambda guest, expect: burst(guest, expect, self.confined[guest.name], requests))

    def live(self, turn: int) -> None:
        """Pin each part of each running guest to one host CPU: the parts next to each other, *turn* CPUs further on."""
        with self.stand.case.record.step("pin emulator --live"):
            self.stand.each(lambda guest, expect: self._pin(guest, expect, turn, LIVE))

    def config(self, turn: int) -> None:
        """Pin each guest's emulator in its definition; what runs stays as it is."""
        with self.stand.case.record.step("pin emulator --config"):
            self.stand.each(lambda guest, expect: self._pin(guest, expect, turn, CONFIG))

    def _pin(self, guest: Guest, expect: Expect, turn: int, flag: int) -> None:
        # A definition has the IOThreads that the guest was made with, and not those that were added while it ran.
        mine = [EMULATOR, *self.parts[guest.name]]
        known = mine if flag == LIVE else mine[: 1 + guest.spec.iothreads]
        start = turn + self.stand.guests.index(guest)
        wanted = {part: frozenset([self.node[(start + number) % len(self.node)]]) for number, part in enumerate(known)}
        pin(guest, expect, self.confined[guest.name], wanted, flag)


def emulator_in_turn(wanted: Guests) -> Callable[[Shape], Shape]:
    """Return what gives each VM's emulator one host CPU in its definition, all for guests in turn."""
    turn = itertools.cycle(pins.node_cpus(wanted))

    def pinned(shape: Shape) -> Shape:
        return replace(shape, tuning=replace(shape.tuning, emulator_cpus=(next(turn),)))

    return pinned
