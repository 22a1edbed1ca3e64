# SPDX-License-Identifier: GPL-2.0-or-later
"""
A pattern that a guest holds in memory of one of its NUMA nodes, and the physical pages on which it lies.

Random content of a file in memory (tmpfs bound to the node); its checksum is kept on the host's side. Where it lies is asked of
the guest's page tables: memory that is only listed as plugged holds nothing.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass

from avocado.core.exceptions import TestError

from provider.hvqual.asked import Asked
from provider.hvqual.guest_memory import Block, Memory
from provider.hvqual.record import Record
from provider.hvqual.steps import fail

FOLDER = "/run/hvq-pattern"
FILE = f"{FOLDER}/pattern"
MISSING = "missing"
SUM = f"if [ -s {FILE} ]; then set -- $(sha256sum {FILE}); echo pattern=$1; else echo pattern={MISSING}; fi"
LINE = re.compile(r"pattern=(\w+)")
PAGE_KIB = 4
# mmap(2) of the file with MAP_SHARED|MAP_POPULATE, then /proc/self/pagemap: bit 63 is "present", the low 55 bits are the frame's
# number. Perl without a module is in every image of the contract.
WHERE = rf"""
my $size = -s "{FILE}" or die;
open(my $file, "<", "{FILE}") or die;
my $at = syscall(9, 0, $size, 1, 0x8001, fileno($file), 0);
die "mmap: $!" if $at == -1;
open(my $map, "<", "/proc/self/pagemap") or die;
sysseek($map, $at / 4096 * 8, 0);
my (%in, $read);
my $left = $size / 4096 * 8;
while ($left > 0 and ($read = sysread($map, my $some, $left > 65536 ? 65536 : $left))) {{
    $left -= $read;
    for (unpack("Q*", $some)) {{ $_ >> 63 ? $in{{int(($_ & (1 << 55) - 1) / $ARGV[0])}}++ : $in{{none}}++ }}
}}
print "pages $_ $in{{$_}}\n" for keys %in;
"""
PAGES = re.compile(r"pages (\d+|none) (\d+)")


@dataclass(frozen=True)
class Pattern:
    """What a guest holds: its checksum and its size."""

    sha256: str
    mib: int


def lay(guest: Asked, mib: int, node: int) -> Pattern:
    """Have the guest hold a pattern of *mib* in the memory of its NUMA node *node*; TestError when it cannot."""
    forget(guest)
    mounted = f"mkdir -p {FOLDER} && mount -t tmpfs -o size={mib + 1}m,mpol=bind:{node} hvq-pattern {FOLDER}"
    written = f"dd if=/dev/urandom of={FILE} bs=1048576 count={mib} 2>/dev/null"
    held = checksum(guest, guest.ask(f"{mounted} && {written}; {SUM}"))
    if held == MISSING:
        message = f"The guest '{guest.name}' could not lay a pattern of {mib} MiB into its NUMA node {node}."
        raise TestError(message)
    return Pattern(held, mib)


def forget(guest: Asked) -> None:
    """Have the guest hold no pattern any more, if it holds one."""
    guest.ask(f"if grep -q {FOLDER} /proc/mounts; then umount {FOLDER}; fi")


def kept(guest: Asked, record: Record, pattern: Pattern) -> None:
    """Observe pattern_kept (bool): the guest finds the pattern again to the bit. What it does not find is lost, whatever libvirt said."""
    found = checksum(guest, guest.ask(SUM))
    record.observe("pattern_kept", found == pattern.sha256, "bool", guest.name)
    if found != pattern.sha256:
        message = (
            f"'{guest.name}' held {pattern.mib} MiB of a pattern with the checksum {pattern.sha256[:16]}; "
            f"what it finds there now has {found[:16]}."
        )
        fail(record, "data-loss", message, guest.name)


def checksum(guest: Asked, text: str) -> str:
    """Return the checksum that the guest told in *text*; TestError when it told none."""
    found = LINE.findall(text)
    if not found:
        message = f"The guest '{guest.name}' did not tell of its pattern; it said: {text[-400:]!r}"
        raise TestError(message)
    return str(found[-1])


def where(guest: Asked, memory: Memory) -> dict[int, int]:
    """Return how many pages of the pattern lie in which of the guest's blocks of memory (by number), by its page tables."""
    program = base64.b64encode(WHERE.encode()).decode()
    text = guest.ask(f"echo {program} | base64 -d | perl - {memory.block_kib // PAGE_KIB}")
    found = {match[1]: int(match[2]) for line in text.splitlines() if (match := PAGES.fullmatch(line.strip()))}
    if not found or "none" in found:
        message = f"The guest '{guest.name}' did not tell where its pattern lies; it said: {text[-400:]!r}"
        raise TestError(message)
    return {int(number): pages for number, pages in found.items()}


def share_in(found: dict[int, int], blocks: Iterable[Block]) -> float:
    """Return which share of the pages of `where` lies in *blocks*."""
    inside = {block.number for block in blocks}
    return sum(pages for number, pages in found.items() if number in inside) / sum(found.values())
