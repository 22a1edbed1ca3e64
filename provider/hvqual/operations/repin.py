# SPDX-License-Identifier: GPL-2.0-or-later
"""Pins that change again and again while the guests work: at random from a seed, or by plans beside something else."""

from __future__ import annotations

import itertools
import random
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from avocado.core.exceptions import TestError
from virttest import virsh

from provider.hvqual import pins, residency
from provider.hvqual.expect import Expect
from provider.hvqual.guests import Guest
from provider.hvqual.operations import cpu_work
from provider.hvqual.operations.pinning import FLAGS, LIVE, Pinned, Pinning, places_of, stays, told
from provider.hvqual.pins import Pins, Place


def shuffled(pinning: Pinning, seed: str, seconds: float, each: float) -> None:
    """
    Pin a random vCPU of each guest to random host CPUs, watch for *each* seconds where all of them run, and again, for *seconds*.

    The seed is recorded (one is drawn for an empty one). What fails ends it and is raised. Observe repins (count) of each guest.
    """
    used = seed or secrets.token_hex(4)
    stand = pinning.stand
    pinning.record.seed(
        used, f"a vCPU pinned anew each {each:g} s for {seconds:g} s, on each of {len(stand.guests)} VMs"
    )
    dice = {guest.name: random.Random(f"{used}/{number}") for number, guest in enumerate(stand.guests, 1)}  # noqa: S311 - repeatable, not secret

    def one(guest: Guest, expect: Expect) -> None:
        end, count = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            count += 1
            mine = pinning.pinned[guest.name]
            _turn(guest, expect, mine, chosen(dice[guest.name], mine.live, pinning.node))
            told(guest, expect, mine)
            stays(guest, expect, residency.watch(places_of(guest, mine.live), each))
        expect.record.observe("repins", count, "count", guest.name)

    with pinning.record.step("pin at random"):
        stand.each(one)


def computes(guest: Guest, expect: Expect) -> None:
    """Expect the jobs on all CPUs of the guest to go on and to compute rightly."""
    cpu_work.goes_on(guest, expect, range(guest.spec.vcpus))


def chosen(dice: random.Random, live: Pins, node: Sequence[int]) -> tuple[int, Place]:
    """Return a vCPU and other host CPUs than those that it has, one at the least; TestError on a node without a choice."""
    vcpu = dice.randrange(len(live))
    if len(node) < 2:  # noqa: PLR2004 - one CPU leaves no other
        message = f"The node has {len(node)} CPUs for guests: nothing can be pinned otherwise there."
        raise TestError(message)
    while True:
        place = frozenset(dice.sample(list(node), dice.randint(1, len(node))))
        if place != live[vcpu]:
            return vcpu, place


def _turn(guest: Guest, expect: Expect, pinned: Pinned, to: tuple[int, Place]) -> None:
    vcpu, place = to
    expect.act(virsh.vcpupin, guest.name, str(vcpu), pins.text(place), FLAGS[LIVE])
    pinned.live = tuple(place if number == vcpu else old for number, old in enumerate(pinned.live))


@contextmanager
def moving(pinning: Pinning, plans: Sequence[str], each: float) -> Iterator[None]:
    """
    Pin all guests by each of *plans* for *each* seconds in turn, again and again while the block lasts, each plan once at the least.

    Each time all who know must tell the pins (`pinning.told`). What fails is raised after the block. Observe repins (count).
    """
    over = threading.Event()

    def move() -> int:
        for count, plan in enumerate(itertools.cycle(plans)):
            if over.is_set() and count >= len(plans):
                return count
            pinning.live(plan)
            pinning.told()
            over.wait(each)
        return 0

    with ThreadPoolExecutor(1, thread_name_prefix="hvqual-repin") as pool:
        moved = pool.submit(move)
        try:
            yield
        finally:
            over.set()
        pinning.record.observe("repins", moved.result(), "count")
