# SPDX-License-Identifier: GPL-2.0-or-later
"""NUMA policy of the memory of a guest that runs: what cannot change is refused and stays, what is for the next start waits for it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from virttest import virsh

from provider.hvqual import numa_policy, shares
from provider.hvqual.operations import numa_tuning, power
from provider.hvqual.steps import fail

if TYPE_CHECKING:
    from provider.hvqual.expect import Expect
    from provider.hvqual.guests import Guest

# libvirt 9.0: "can't change numatune mode for running domain", "NUMA node 1 is unavailable" and their like.
# virsh begins with it whatever libvirt then says: it is no reason.
HEADER = "Unable to change numa parameters"
REASON = re.compile(r"numa|node", re.IGNORECASE)


def unchanged(guest: Guest, expect: Expect, mode: str, nodes: Sequence[int]) -> None:
    """
    Ask for another mode and for an absent node while the guest runs under *mode* on *nodes*; observe refusal_told (bool) of each.

    Whatever is refused must be as it was. A libvirt that takes another mode must also do it.
    """
    with expect.record.step("numatune live", guest.name):
        other = "interleave" if mode != "interleave" else "strict"
        told = virsh.numatune(guest.name, other, numa_tuning.text(nodes), "--live", uri=expect.uri, ignore_status=True)
        if told.exit_status:
            _reasoned(guest, expect, told.stderr_text)
        numa_tuning.placed(guest, expect, mode if told.exit_status else other, nodes)
        absent = max(numa_policy.online()) + 1
        told = virsh.numatune(guest.name, "", str(absent), "--live", uri=expect.uri, ignore_status=True)
        if not told.exit_status:
            message = f"The memory of '{guest.name}' was tied to node {absent} while it runs, which the host has not."
            fail(expect.record, "wrong-result", message, guest.name)
        _reasoned(guest, expect, told.stderr_text)
        numa_tuning.placed(guest, expect, mode, nodes)


def next_time(guest: Guest, expect: Expect, running: str, mode: str, nodes: Sequence[int]) -> None:
    """Tie the guest's memory otherwise from its next start on: as it runs nothing changes."""
    numa_tuning.tune(guest, expect, mode, nodes)
    numa_tuning.placed(guest, expect, running, nodes)


def spread(guest: Guest, expect: Expect, nodes: Sequence[int]) -> None:
    """Observe node_share_error (ratio) of each of *nodes*: how far what it has of the guest's memory is from an even share."""
    ram = numa_policy.of_ram(expect.one_process(guest), guest.spec.pieces_kib)
    on = [sum(one.on_nodes.get(node, 0) for one in ram) for node in nodes]
    for error in shares.deviations(on):
        expect.record.observe("node_share_error", abs(error), "ratio", guest.name)


def held(guest: Guest, expect: Expect, mode: str, nodes: Sequence[int]) -> None:
    """Start a guest with its CPUs held and the memory tied by *mode*: libvirt, cgroup and kernel have the policy. It is off afterwards."""
    with expect.record.step("start held", guest.name):
        expect.act(virsh.start, guest.name, "--paused")
        guest.on = True
        expect.state(guest.name, "paused", "user")
        numa_tuning.placed(guest, expect, mode, nodes)
    power.off(guest, expect)
    expect.no_process(guest)


def _reasoned(guest: Guest, expect: Expect, said: str) -> None:
    told = bool(REASON.search(said.replace(HEADER, "")))
    expect.record.observe("refusal_told", told, "bool", guest.name)
    if not told:
        message = f"'{guest.name}' was refused another NUMA policy; what virsh says of it names none: {said.strip()!r}"
        fail(expect.record, "wrong-text", message, guest.name)
