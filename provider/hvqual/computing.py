# SPDX-License-Identifier: GPL-2.0-or-later
"""
Work in a guest whose result the host can foretell: one job bound to each CPU, that counts on, holds memory and tells how far it is.

A CPU that is listed as online proves little; one that computes, and computes rightly, is there. What a job has computed at any turn is
known here without computing it: each step is the same affine map, of which powers are taken.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from provider.hvqual import cpu_jobs
from provider.hvqual.asked import Asked
from provider.hvqual.record import Record
from provider.hvqual.steps import fail
from provider.hvqual.wait import WaitTimeoutError, until

FACTOR, ADDEND, MASK = 1103515245, 12345, 0x7FFFFFFF
SEED, STEPS = 20261, 400
# Perl without a module, as all that is certain to be in a guest. What was stored is computed a second time some turns later, and compared.
PROGRAM = r"""
my ($cpu, $place, $share) = @ARGV;
sub used { my @times = times; return $times[0] + $times[1] }
my $since = used();
my ($slots, $turn, $bad) = (8192, 0, 0);
my ($ahead, $behind) = (20261 + $cpu, 20261 + $cpu);
my $held = "\0" x (4 * $slots);
sub on { my $n = shift; $n = ($n * 1103515245 + 12345) & 0x7fffffff for 1 .. 400; return $n }
while (1) {
    for (1 .. 16) {
        my $at = 4 * ($turn % $slots);
        if ($turn >= $slots) { $behind = on($behind); $bad++ if unpack("N", substr($held, $at, 4)) != $behind }
        $ahead = on($ahead);
        substr($held, $at, 4) = pack("N", $ahead);
        $turn++;
    }
    open(my $stat, "<", "/proc/self/stat"); my $line = <$stat>; close $stat;
    my $where = (split " ", substr($line, rindex($line, ")") + 2))[36];
    open(my $out, ">", "$place.new"); print $out "$cpu $turn $ahead $bad $where\n"; close $out;
    rename "$place.new", $place;
    my $worked = used() - $since;
    next if $share >= 100 or $worked < 0.01;
    # What the guest's kernel counts as work may be time in which its CPU waited for the host's.
    my $pause = $worked * (100 / $share - 1);
    select(undef, undef, undef, $pause < 0.2 ? $pause : 0.2);
    $since = used();
}
"""
PLACE = "/run/hvq-compute"
PATIENCE = 30.0
LINE = re.compile(r"(\d{1,9}) (\d{1,18}) (\d{1,18}) (\d{1,18}) (-?\d{1,9})", re.ASCII)


@dataclass(frozen=True)
class Progress:
    """How far the job of one CPU is: its turns, what it has computed, what it found changed in its memory, and where it ran last."""

    turns: int
    value: int
    bad: int
    where: int


def expected(cpu: int, turns: int) -> int:
    """Return what the job of *cpu* must have computed after so many turns."""
    factor, addend = 1, 0
    power, shift, left = FACTOR, ADDEND, turns * STEPS
    while left:
        if left & 1:
            factor, addend = factor * power & MASK, addend * power + shift & MASK
        power, shift = power * power & MASK, shift * power + shift & MASK
        left >>= 1
    return (SEED + cpu) * factor + addend & MASK


def parsed(text: str) -> dict[int, Progress]:
    """Return how far the job of each CPU is, of the lines that the jobs have written."""
    found = (LINE.fullmatch(line) for line in text.splitlines())
    told = (tuple(map(int, match.groups())) for match in found if match)
    return {cpu: Progress(*rest) for cpu, *rest in told}


def wrong_with(progress: Mapping[int, Progress]) -> list[str]:
    """Return a sentence for each job that computed something else than it must have, or found its memory changed."""
    wrong = []
    for cpu, job in sorted(progress.items()):
        right = expected(cpu, job.turns)
        if job.value != right:
            wrong.append(f"The job of CPU {cpu} has {job.value} after {job.turns} turns instead of {right}.")
        if job.bad:
            wrong.append(f"The job of CPU {cpu} found {job.bad} values in its memory changed.")
    return wrong


def begin(guest: Asked, cpus: Iterable[int], longest: float, share: int = 100) -> None:
    """
    Start a job on each of *cpus* of the guest, in sessions that outlive the login; each ends by itself after *longest* seconds.

    It takes *share* percent of its CPU, or more where it does not get as much in one go.
    """
    cpu_jobs.begin(guest, PLACE, PROGRAM, cpus, longest, share)


def progress(guest: Asked) -> dict[int, Progress]:
    """Return how far the jobs of the guest are now."""
    return parsed(cpu_jobs.written(guest, PLACE))


def advance(guest: Asked, record: Record, cpus: Iterable[int], moved: Iterable[int] = ()) -> None:
    """
    Expect each job of *cpus* to go on, to compute rightly, and on its own CPU unless it is one of *moved*.

    Observe computed_turns (count) of each: how far it came meanwhile, and computing_right (bool).
    """
    wanted, vm = frozenset(cpus), guest.name
    before, start = progress(guest), time.monotonic()
    now: dict[int, Progress] = {}

    def went_on() -> bool:
        now.update(progress(guest))
        return all(_turns(now, cpu) > _turns(before, cpu) for cpu in wanted)

    try:
        until(went_on, PATIENCE, f"the jobs on the CPUs {sorted(wanted)} of '{vm}' to go on", interval=0.1)
    except WaitTimeoutError as error:
        stalled = [cpu for cpu in sorted(wanted) if _turns(now, cpu) <= _turns(before, cpu)]
        message = f"The CPUs {stalled} of '{vm}' compute nothing. {error} {cpu_jobs.complaints(guest, PLACE)}".strip()
        record.observe("computed_turns", 0, "count", vm)
        fail(record, "wrong-result", message, vm)
    for cpu in sorted(wanted):
        record.observe("computed_turns", _turns(now, cpu) - _turns(before, cpu), "count", vm)
    record.observe("computing_took", time.monotonic() - start, "s", vm)
    wrong = wrong_with(now) + _strayed(now, wanted - frozenset(moved))
    record.observe("computing_right", not wrong, "bool", vm)
    if wrong:
        fail(record, "wrong-result", f"'{vm}' computes wrongly: {' '.join(wrong)}", vm)


def _turns(progress_of: Mapping[int, Progress], cpu: int) -> int:
    return progress_of[cpu].turns if cpu in progress_of else 0


def _strayed(now: Mapping[int, Progress], bound: Iterable[int]) -> list[str]:
    """Return a sentence for each job that ran on another CPU than the one that it is bound to."""
    return [
        f"The job that is bound to CPU {cpu} ran on CPU {now[cpu].where}."
        for cpu in sorted(bound)
        if now[cpu].where != cpu
    ]


def end(guest: Asked) -> None:
    """End the jobs of the guest."""
    cpu_jobs.end(guest, PLACE)


__all__ = ["PLACE", "Progress", "advance", "begin", "end", "expected", "parsed", "progress", "wrong_with"]
