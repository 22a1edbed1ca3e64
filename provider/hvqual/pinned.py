# SPDX-License-Identifier: GPL-2.0-or-later
"""
Memory of a guest that its kernel cannot move for as long as a process holds it, so that it cannot be given back.

Where DIMMs are concerned it is the kernel's own: full pipes, in blocks that were set online for the kernel. For virtio-mem it is a
process's, pinned by vmsplice(2). Both lie in one NUMA node, and end with the process.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence

from avocado.core.exceptions import TestError

from provider.hvqual import guest_memory
from provider.hvqual.asked import Asked
from provider.hvqual.guest_memory import ONLINE, Block

PLACE = "/run/hvq-pinned"
KERNEL, USER = "kernel", "user"
# set_mempolicy(MPOL_BIND), pipe, F_SETPIPE_SZ, mmap, vmsplice. Perl without a module is in every image of the contract.
PROGRAM = r"""
my ($mode, $node, $mib) = @ARGV;
my $size = 1048576;
my $mask = pack("Q*", map { $node >= 64 * $_ && $node < 64 * ($_ + 1) ? 1 << $node % 64 : 0 } 0 .. 15);
syscall(238, 2, $mask, 1024) == 0 or die "node: $!";
my ($at, @held) = (0);
if ($mode eq "user") {
    $at = syscall(9, 0, $mib * $size, 3, 0x22, -1, 0);
    die "memory: $!" if $at == -1;
    open(my $random, "<", "/dev/urandom") or die;
    for (0 .. $mib * 256 - 1) { syscall(0, fileno($random), $at + 4096 * $_, 16) == 16 or die "write: $!" }
}
for my $n (0 .. $mib - 1) {
    pipe(my $read, my $write) or die "pipe: $!";
    fcntl($write, 1031, $size) or die "pipe's size: $!";
    my $part = pack("QQ", $at + $n * $size, $size);
    my $done = $at ? syscall(278, fileno($write), $part, 1, 0) : syswrite($write, "x" x $size);
    $done == $size or die "pin: $!";
    push @held, $read, $write;
}
open(my $ready, ">", "/run/hvq-pinned.pid") or die;
print $ready "$$\n";
close $ready;
sleep 86400;
"""
BEGUN = f"for turn in $(seq 300); do test -s {PLACE}.pid && break; sleep 0.1; done; test -s {PLACE}.pid && echo pinned"


def pin(guest: Asked, mode: str, node: int, mib: int) -> None:
    """Have a process of the guest hold *mib* in the NUMA node *node* that cannot be moved; TestError when it does not come to it."""
    program = base64.b64encode(PROGRAM.encode()).decode()
    guest.ask(f"echo {program} | base64 -d > {PLACE}.pl && rm -f {PLACE}.pid")
    started = f"setsid perl {PLACE}.pl {mode} {node} {mib} < /dev/null > {PLACE}.out 2>&1 &"
    told = guest.ask(f"{started} {BEGUN} || cat {PLACE}.out")
    if "pinned" not in told.split():
        message = f"The guest '{guest.name}' could not pin {mib} MiB in its NUMA node {node}: {told[-400:]!r}"
        raise TestError(message)


def release(guest: Asked) -> None:
    """End the process that holds the memory."""
    guest.ask(f"kill $(cat {PLACE}.pid) 2> /dev/null; rm -f {PLACE}.pid {PLACE}.out")


def for_the_kernel(guest: Asked, blocks: Sequence[Block]) -> None:
    """Set *blocks* online for the kernel, which then lays memory into them that it cannot move; TestError when they are not."""
    place = guest_memory.PLACE
    each = "".join(
        f"echo offline > {place}/memory{block.number}/state && echo online_kernel > {place}/memory{block.number}/state && "
        for block in blocks
    )
    guest.ask(f"{each}true")
    numbers = {block.number for block in blocks}
    found = [block for block in guest_memory.told(guest).blocks if block.number in numbers]
    if len(found) != len(blocks) or not all(one.state == ONLINE and one.zones == "Normal" for one in found):
        message = f"The guest '{guest.name}' should have {sorted(numbers)} online for its kernel; it has {found}."
        raise TestError(message)
