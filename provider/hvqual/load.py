# SPDX-License-Identifier: GPL-2.0-or-later
"""
Work for guests: all CPUs busy, or all memory written, in the guest and by its own means.

What runs there ends by itself after a while, also when nobody is left to end it. That it ran is asked of the host, not of the
guest: `shares` tells what the vCPUs really got.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from provider.hvqual import together
from provider.hvqual.asked import AskedBySpec
from provider.hvqual.expect import Expect
from provider.hvqual.steps import fail
from provider.hvqual.wait import WaitTimeoutError, until

# Perl without a module is in every image of the contract, and its loop costs no process a turn as a shell's would.
# burn SHARE: busy for SHARE percent of a CPU, in turns of 0.2 s. touch MIB COUNT HELD: write so much memory, each MiB by its number, keep
# it until all COUNT processes have theirs (a byte each in the file HELD; what one gave back another would write again), and read it.
PROGRAM = r"""
my ($mode, $amount, $count, $held) = @ARGV;
sub used { my @t = times; return $t[0] + $t[1] }
if ($mode eq "burn") {
    my $busy = $amount / 100 * 0.2;
    while (1) {
        my $start = used();
        while (used() - $start < $busy) { my $n = 0; $n++ for 1 .. 2000 }
        select(undef, undef, undef, 0.2 - $busy) if $busy < 0.2;
    }
}
my $fill = "hvq-" x 262144;
my (@kept, $good);
for my $n (0 .. $amount - 1) { $kept[$n] = $fill; substr($kept[$n], 0, 8, pack("N2", $$, $n)) }
if (defined $held) {
    open(my $all, ">>", $held) or die "$held: $!";
    syswrite($all, "x") or die "$held: $!";
    select(undef, undef, undef, 0.1) while -s $held < $count;
}
for my $n (0 .. $amount - 1) {
    $good++ if substr($kept[$n], 0, 8) eq pack("N2", $$, $n) and substr($kept[$n], -4) eq "hvq-";
}
print "touched=", $amount, " good=", $good + 0, "\n";
"""
PLACE = "/run/hvq-load"
ENDED = "ended"
# What the tool needs for itself, in MiB a process. And what the kernel calls available and gives only in need: some MiB (caches of its
# own, watermarks), and a part for page tables and the edges of each piece.
OWN_MIB, KERNEL_MIB, KERNEL_PART = 8, 8, 0.02


@contextmanager
def burning(guests: Sequence[AskedBySpec], share: float, longest: float) -> Iterator[None]:
    """
    Have each vCPU of *guests* busy for *share* percent of a CPU while the block lasts, *longest* seconds at most.

    After a block that failed nothing is ended in the guests: they may be what failed, and the load ends by itself.
    """
    together.each(guests, lambda guest: _start(guest, f"burn {share:g}", longest))
    yield
    together.each(guests, _stop)


def touch(guest: AskedBySpec, expect: Expect, timeout: float) -> None:
    """
    Have the guest write all the memory that it says is available, and read it again; observe memory_touched (ratio).

    The ratio is of what was found again to what the guest had promised, less what the tool itself needs.
    """
    with expect.record.step("touch memory", guest.name):
        promised = promise(available_mib(guest.ask("cat /proc/meminfo")), guest.spec.vcpus)
        each = max(1, promised // guest.spec.vcpus)
        _start(guest, f"touch {each} {guest.spec.vcpus} {PLACE}.held", timeout)
        try:
            text = until(lambda: _ended(guest), timeout + 10, f"'{guest.name}' to write {promised} MiB", interval=0.2)
        except WaitTimeoutError as error:
            fail(expect.record, "wrong-result", f"'{guest.name}' cannot use its memory. {error}", guest.name)
        told = results(text)
        if len(told) < guest.spec.vcpus:
            said = guest.ask("dmesg | grep -i -E 'out of memory|oom' | tail -n 3").strip()
            message = (
                f"'{guest.name}' cannot use its memory: of {guest.spec.vcpus} processes that were to write {each} MiB each, "
                f"{len(told)} did. They said {text.strip()!r}, its kernel {said!r}."
            )
            fail(expect.record, "wrong-result", message, guest.name)
        expect.record.observe("memory_touched", sum(good for _, good in told) / (each * len(told)), "ratio", guest.name)
        expect.record.observe("memory_promised", promised, "MiB", guest.name)


def promise(available: int, processes: int) -> int:
    """Return how much of *available* MiB so many processes can write, when each needs something for itself."""
    return int(available * (1 - KERNEL_PART)) - KERNEL_MIB - OWN_MIB * processes


def available_mib(meminfo: str) -> int:
    """Return what the guest's kernel says can be had without harm, in MiB."""
    for line in meminfo.splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) // 1024
    return 0


def results(text: str) -> list[tuple[int, int]]:
    """Return (MiB written, MiB found again) of each process that ended."""
    found = []
    for line in text.splitlines():
        words = dict(word.split("=", 1) for word in line.split() if "=" in word)
        if {"touched", "good"} <= set(words):
            found.append((int(words["touched"]), int(words["good"])))
    return found


def _ended(guest: AskedBySpec) -> str:
    """Return what the processes said once all of them have ended, however they did; else nothing."""
    text = guest.ask(f"cat {PLACE}.out")
    return text if ENDED in text.splitlines() else ""


def _start(guest: AskedBySpec, what: str, longest: float) -> None:
    """Start one process a vCPU, each on its own, in a session that outlives the login."""
    program = base64.b64encode(PROGRAM.encode()).decode()
    guest.ask(f"echo {program} | base64 -d > {PLACE}.pl && rm -f {PLACE}.out {PLACE}.pid {PLACE}.held")
    # Who ended has nothing to keep any more, however it ended: nobody waits for it.
    each = f"(taskset -c $cpu timeout {longest:.0f} perl {PLACE}.pl {what} >> {PLACE}.out 2>&1; printf x >> {PLACE}.held) &"
    numbers = " ".join(str(number) for number in range(guest.spec.vcpus))
    script = f"echo $$ > {PLACE}.pid; for cpu in {numbers}; do {each} done; wait; echo {ENDED} >> {PLACE}.out"
    # A guest that is short of CPU time takes a while to start a process: until the number is there nothing can end it.
    begun = f"for turn in $(seq 100); do test -s {PLACE}.pid && break; sleep 0.1; done; test -s {PLACE}.pid"
    guest.ask(f"setsid sh -c '{script}' < /dev/null > /dev/null 2>&1 & {begun}")


def _stop(guest: AskedBySpec) -> None:
    """End the session of processes."""
    guest.ask(f"kill -- -$(cat {PLACE}.pid) 2> /dev/null; rm -f {PLACE}.pid {PLACE}.out {PLACE}.held")
