# SPDX-License-Identifier: GPL-2.0-or-later
"""How fast each CPU of a guest works, by the guest's own word: a loop bound to it that counts, and says when by the guest's clock."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from avocado.core.exceptions import TestFail

from provider.hvqual import cpu_jobs
from provider.hvqual.asked import AskedBySpec
from provider.hvqual.wait import WaitTimeoutError, until

# Perl without a module. Count and clock are written together, so that the way to the host does not matter.
PROGRAM = r"""
my ($cpu, $place) = @ARGV;
my $turn = 0;
while (1) {
    for (1 .. 10) { my $n = 0; $n++ for 1 .. 500; $turn++ }
    open(my $up, "<", "/proc/uptime"); my ($at) = split " ", <$up>; close $up;
    open(my $out, ">", "$place.new"); print $out "$cpu $turn $at\n"; close $out;
    rename "$place.new", $place;
}
"""
PLACE = "/run/hvq-count"
PATIENCE = 30.0
LINE = re.compile(r"(\d{1,9}) (\d{1,18}) (\d{1,12}\.\d{1,9})", re.ASCII)


@dataclass(frozen=True)
class Count:
    """The turns of one CPU's loop, and when that was by the guest's clock (s)."""

    turns: int
    at: float


def begin(guest: AskedBySpec, longest: float) -> None:
    """Have a loop count on each CPU of the guest, *longest* seconds at the most; TestFail when one does not get on."""
    cpu_jobs.begin(guest, PLACE, PROGRAM, range(guest.spec.vcpus), longest)
    try:
        until(
            lambda: len(told(guest)) == guest.spec.vcpus, PATIENCE, f"each CPU of '{guest.name}' to count", interval=0.2
        )
    except WaitTimeoutError as error:
        message = f"{error} {cpu_jobs.complaints(guest, PLACE)}".strip()
        raise TestFail(message) from None


def told(guest: AskedBySpec) -> dict[int, Count]:
    """Return how far the loop of each CPU is."""
    return parsed(cpu_jobs.written(guest, PLACE))


def parsed(text: str) -> dict[int, Count]:
    """Return how far each loop is, of the lines that they have written."""
    found = (LINE.fullmatch(line) for line in text.splitlines())
    return {int(match[1]): Count(int(match[2]), float(match[3])) for match in found if match}


def rate(before: Mapping[int, Count], after: Mapping[int, Count]) -> float:
    """Return the turns a second of all CPUs together; 0 where one's clock or loop did not get on."""
    rates = []
    for cpu, old in before.items():
        new = after.get(cpu, old)
        rates.append((new.turns - old.turns) / (new.at - old.at) if new.at > old.at else 0.0)
    return sum(rates) if rates and min(rates) > 0 else 0.0


def end(guest: AskedBySpec) -> None:
    """End the loops of the guest."""
    cpu_jobs.end(guest, PLACE)
