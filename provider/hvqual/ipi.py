# SPDX-License-Identifier: GPL-2.0-or-later
"""
Interrupts that one CPU of a guest sends to another (IPIs), by how long a function called there takes to have run.

A CPU that computes and has its own timer's interrupts may still hear nothing of the others. Without KVM QEMU 7.2 (hw/intc/apic.c) looks
for whom an IPI is meant no further than the first APIC id that is not there: a CPU behind a gap runs what it is called for when it happens
to look, seconds later, and whoever called stands still until then. That may be soon by luck: a CPU that has something to do ten times a
second has looked after 0.1 s at most (7.2, nine calls of such a CPU: 0.1 s the longest, 20 ms the median; 0.2 ms with 10.0.2). So the
longest call tells of a lost interrupt, and the median of many tells of those that were found by luck.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass

from avocado.core.exceptions import TestError

from provider.hvqual.asked import Asked

# Perl without a module, as all that is certain to be in a guest; by the numbers of x86-64's system calls. The kernel has an event that is
# bound to a CPU begun and ended on that CPU, by a call there for which the one that asks waits (perf_install_in_context, Linux 6.1).
PROGRAM = r"""
my ($rounds, $longest, $median, @cpus) = @ARGV;
my $event = pack("L L Q7", 1, 64, 9, 0, 0, 0, 0, 0, 0);
sub now {
    my $time = "\0" x 16;
    die "clock_gettime: $!\n" if syscall(228, 1, $time) < 0;
    my ($seconds, $nanoseconds) = unpack("q2", $time);
    return $seconds + $nanoseconds / 1e9;
}
for my $cpu (@cpus) {
    my @took;
    for (1 .. $rounds) {
        my $since = now();
        my $held = syscall(298, $event, -1, 0 + $cpu, -1, 0);
        print "cpu $cpu refuses: $!\n" and last if $held < 0;
        push @took, now() - $since;
        syscall(3, $held);
        last if $took[-1] > $longest;
    }
    next if not @took;
    @took = sort { $a <=> $b } @took;
    my $half = $took[$#took / 2];
    printf "cpu %d %.6f %.6f\n", $cpu, $took[-1], $half;
    last if $took[-1] > $longest or $half > $median;
}
"""
ROUNDS = 9
LINE = re.compile(r"cpu (\d{1,9}) (\d{1,9}\.\d{6}) (\d{1,9}\.\d{6})", re.ASCII)


@dataclass(frozen=True)
class Calls:
    """How long (s) the calls to one CPU took."""

    longest: float
    median: float

    def over(self, most: Calls) -> bool:
        """Whether one of the calls, or half of them, took longer than the *most*."""
        return self.longest > most.longest or self.median > most.median


def calls(guest: Asked, cpus: Iterable[int], most: Calls) -> dict[int, Calls]:
    """
    Return how long some calls from the first of *cpus* to each of the others took.

    Once a CPU took longer than the *most* none is called any more: its guest stands still meanwhile. TestError where the guest's kernel
    does not tell: a customer's may be built without such events.
    """
    first, *others = sorted(cpus)
    program = base64.b64encode(PROGRAM.encode()).decode()
    numbers = " ".join(map(str, others))
    enough = f"{most.longest:g} {most.median:g}"
    text = guest.ask(f"echo {program} | base64 -d | taskset -c {first} perl - {ROUNDS} {enough} {numbers} 2>&1; true")
    found = parsed(text)
    missing = [cpu for cpu in others if cpu not in found]
    if missing and not any(took.over(most) for took in found.values()):
        message = f"How long a call of the CPUs {missing} of '{guest.name}' takes is not known; its guest said {text[-400:]!r}."
        raise TestError(message)
    return found


def parsed(text: str) -> dict[int, Calls]:
    """Return the calls of each CPU, of the lines that the program has written; what is no such line says nothing."""
    refused = {int(cpu) for cpu in re.findall(r"^cpu (\d{1,9}) refuses:", text, re.MULTILINE | re.ASCII)}
    found = (LINE.fullmatch(line) for line in text.splitlines())
    return {
        int(match[1]): Calls(float(match[2]), float(match[3]))
        for match in found
        if match and int(match[1]) not in refused
    }
