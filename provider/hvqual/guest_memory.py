# SPDX-License-Identifier: GPL-2.0-or-later
"""What a guest's own kernel makes of the memory that it was given: how much of it there is, and in which blocks, nodes and zones."""

from __future__ import annotations

import re
from dataclasses import dataclass

from avocado.core.exceptions import TestError

from provider.hvqual.asked import Asked

PLACE = "/sys/devices/system/memory"
ONLINE, MOVABLE = "online", "Movable"
# One process reads all of them: a big guest has some hundreds of blocks. (An 'ls' would colour what it tells a terminal.)
# Who reads the zones of a block that has come and is in no node yet, of a kernel with nodes, kills the kernel: a block is to be seen before
# it is registered under its node, and valid_zones_show takes node -1 then (Linux 6.1.192, a DIMM plugged under QEMU 10.0.2).
ASK = (
    f"cd {PLACE} && echo block_size_bytes:$(cat block_size_bytes); grep -H . memory[0-9]*/state; zones=; "
    'for block in memory[0-9]*; do set -- $block/node[0-9]*; if test -e "$1"; then printf "%s\\n" "$@"; '
    'elif test -d ../node; then continue; fi; zones="$zones $block/valid_zones"; done; grep -H . $zones /dev/null; '
    # Last, so that what is told to be online is in the sum.
    "grep MemTotal: /proc/meminfo"
)
FACT = re.compile(r"memory(\d+)/(?:(state|valid_zones):(.*)|node(\d+))")


@dataclass(frozen=True)
class Block:
    """One block of memory that can be set online and offline on its own."""

    number: int
    """Its physical address in units of the block size."""
    state: str
    """Empty while the block comes or goes."""
    zones: str
    """The zone that it is in while it is online, else those that it can be put into."""
    node: int
    """-1 where the kernel tells none."""


@dataclass(frozen=True)
class Memory:
    """All memory of a guest, by its own kernel's word."""

    total_kib: int
    block_kib: int
    blocks: tuple[Block, ...]

    def within(self, base: int, size_kib: int) -> tuple[Block, ...]:
        """Return the blocks of the *size_kib* from the physical address *base* (bytes) on."""
        first, last = base // 1024 // self.block_kib, (base // 1024 + size_kib - 1) // self.block_kib
        return tuple(block for block in self.blocks if first <= block.number <= last)


def told(guest: Asked) -> Memory:
    """Return what the guest's kernel says of its memory now."""
    return parse(guest.ask(ASK), guest.name)


def parse(text: str, name: str) -> Memory:
    """Return the memory of which the lines of *text* tell; TestError when they leave out its size or its blocks."""
    sizes = {key: value for key, _, value in (line.strip().partition(":") for line in text.splitlines())}
    blocks: dict[int, dict[str, str]] = {}
    for line in text.splitlines():
        fact = FACT.fullmatch(line.strip())
        if fact:
            blocks.setdefault(int(fact[1]), {})[fact[2] or "node"] = fact[3] if fact[2] else fact[4]
    try:
        total, size = int(sizes["MemTotal"].split()[0]), int(sizes["block_size_bytes"], 16) // 1024
        found = tuple(
            Block(number, about.get("state", ""), about.get("valid_zones", ""), int(about.get("node", -1)))
            for number, about in sorted(blocks.items())
        )
    except (KeyError, ValueError, IndexError) as error:
        found, total, size = (), 0, 0
        reason = f" ({type(error).__name__}: {error})"
    else:
        reason = ""
    if not (found and total and size):
        message = f"The guest '{name}' did not tell of its memory{reason}; it said: {text[-400:]!r}"
        raise TestError(message)
    return Memory(total, size, found)
