# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the huge pages of guests come from and lie: exactly so many out of the kernel's pool, all of them on nodes of this host."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from provider.hvqual import cpu_use, hugepages, numa_policy
from provider.hvqual.expect import Expect
from provider.hvqual.guests import Guest
from provider.hvqual.stand import Stand
from provider.hvqual.steps import fail


@contextmanager
def given_out(size_kib: int, stand: Stand) -> Iterator[None]:
    """
    Expect the block, which brings the guests up, to take exactly the pages of their memory out of the pool; observe pages_given (bool).

    Free pages of the kernel's whole pool are counted: on a node under qualification nobody else takes any.
    """
    before = hugepages.pool(size_kib)
    yield
    after = hugepages.pool(size_kib)
    wanted = sum(hugepages.wanted_kib(guest.spec) for guest in stand.guests) // size_kib
    taken, promised = before.free - after.free, after.reserved - before.reserved
    good = (taken, promised, after.total) == (wanted, 0, before.total)
    stand.case.record.observe("pages_given", good, "bool")
    if not good:
        message = (
            f"{len(stand.guests)} guests of {wanted} huge pages of {size_kib} KiB together came up; of the pool's free pages {taken} are "
            f"gone, {promised} more are promised, and its size went from {before.total} to {after.total}."
        )
        fail(stand.case.record, "wrong-result", message, None)


def on_nodes(guest: Guest, expect: Expect) -> None:
    """Expect all memory of the guest to lie on online NUMA nodes of the host, by numa_maps; observe pages_on_nodes (ratio)."""
    nodes = numa_policy.online()
    placed = numa_policy.of_ram(cpu_use.pid_of(guest), guest.spec.pieces_kib)
    held = sum(amount for one in placed for node, amount in one.on_nodes.items() if node in nodes)
    expect.record.observe("pages_on_nodes", held / guest.spec.memory_kib, "ratio", guest.name)
    if held != guest.spec.memory_kib:
        found = [one.on_nodes for one in placed]
        message = (
            f"Of {guest.spec.memory_kib} KiB of '{guest.name}' {held} lie on the nodes {nodes}, by numa_maps: {found}."
        )
        fail(expect.record, "wrong-result", message, guest.name)
