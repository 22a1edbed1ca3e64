# SPDX-License-Identifier: GPL-2.0-or-later
"""How fast each CPU of a guest works, by the guest's own word: a loop bound to it that counts, and says when by the guest's clock."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from avocado.core.exceptions import TestFail

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
FIELDS = 3


class Asked(Protocol):
    """A guest that answers commands (guests.Guest)."""

    name: str
    spec: Any

    def ask(self, command: str) -> str:
        """Return the output of *command* in the guest."""


@dataclass(frozen=True)
class Count:
    """The turns of one CPU's loop, and when that was by the guest's clock (s)."""

    turns: int
    at: float


def begin(guest: Asked, longest: float) -> None:
    """Have a loop count on each CPU of the guest, *longest* seconds at the most; TestFail when one does not get on."""
    program = base64.b64encode(PROGRAM.encode()).decode()
    one = (
        f"echo $$ > {PLACE}.pid.$cpu; exec timeout {longest:.0f} taskset -c $cpu perl {PLACE}.pl $cpu {PLACE}.out.$cpu"
    )
    numbers = " ".join(str(number) for number in range(guest.spec.vcpus))
    guest.ask(
        f"echo {program} | base64 -d > {PLACE}.pl; for cpu in {numbers}; do "
        f"cpu=$cpu setsid sh -c '{one}' < /dev/null > /dev/null 2>&1 & done"
    )
    try:
        until(
            lambda: len(told(guest)) == guest.spec.vcpus, PATIENCE, f"each CPU of '{guest.name}' to count", interval=0.2
        )
    except WaitTimeoutError as error:
        raise TestFail(str(error)) from None


def told(guest: Asked) -> dict[int, Count]:
    """Return how far the loop of each CPU is."""
    return parsed(guest.ask(f"cat {PLACE}.out.* 2> /dev/null; true"))


def parsed(text: str) -> dict[int, Count]:
    """Return how far each loop is, of the lines that they have written."""
    found = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) == FIELDS and words[0].isdigit() and words[1].isdigit():
            found[int(words[0])] = Count(int(words[1]), float(words[2]))
    return found


def rate(before: Mapping[int, Count], after: Mapping[int, Count]) -> float:
    """Return the turns a second of all CPUs together; 0 where one's clock or loop did not get on."""
    rates = []
    for cpu, old in before.items():
        new = after.get(cpu, old)
        rates.append((new.turns - old.turns) / (new.at - old.at) if new.at > old.at else 0.0)
    return sum(rates) if rates and min(rates) > 0 else 0.0


def end(guest: Asked) -> None:
    """End the loops of the guest."""
    guest.ask(
        f"for file in {PLACE}.pid.*; do kill -- -$(cat $file); done 2> /dev/null; rm -f {PLACE}.pid.* {PLACE}.out.*"
    )
