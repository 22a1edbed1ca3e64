# SPDX-License-Identifier: GPL-2.0-or-later
"""Tie a guest's memory to NUMA nodes of the host, and find it there: by virsh, libvirt, cgroup and the kernel's page tables."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from avocado.core.exceptions import TestError
from virttest import virsh

from provider.hvqual import cpu_use, numa_policy
from provider.hvqual.expect import Expect
from provider.hvqual.guests import Guest
from provider.hvqual.shares import cpus
from provider.hvqual.steps import fail
from provider.hvqual.wait import WaitTimeoutError, until

MOVE = 30.0
# A guest that runs uses more between two looks at it.
UNSEEN = 0.1


def known(modes: Sequence[str]) -> tuple[str, ...]:
    """Return *modes*; TestError when one is none of libvirt's."""
    wrong = [mode for mode in modes if mode not in numa_policy.POLICIES]
    if wrong or not modes:
        message = (
            f"hv_numa_modes: '{' '.join(wrong) or 'nothing'}' is no mode; known are {' '.join(numa_policy.POLICIES)}."
        )
        raise TestError(message)
    return tuple(modes)


def text(nodes: Sequence[int]) -> str:
    """Return NUMA nodes as virsh takes them."""
    return ",".join(str(node) for node in nodes)


def tune(guest: Guest, expect: Expect, mode: str, nodes: Sequence[int]) -> None:
    """Tie the memory of a guest that is off to *nodes*: its definition has it."""
    with expect.record.step("numatune", guest.name):
        expect.act(virsh.numatune, guest.name, mode, text(nodes), "--config")
        found = expect.truth.xml(guest.name, inactive=True).find("numatune/memory")
        said = (None, None) if found is None else (found.get("mode"), found.get("nodeset"))
        if said[0] != mode or cpus(said[1] or "") != set(nodes):
            message = f"'{guest.name}' was given numatune {mode} {text(nodes)}; its definition says {said}."
            fail(expect.record, "wrong-result", message, guest.name)


def placed(guest: Guest, expect: Expect, mode: str, nodes: Sequence[int]) -> None:
    """
    Expect the memory of a running guest under the policy of *mode* on *nodes*.

    Observe policy_as_asked (bool), and pages_elsewhere (KiB) where the mode lets none be.
    """
    with expect.record.step("compare placement", guest.name):
        pid, wanted = cpu_use.pid_of(guest), set(nodes)
        ram = numa_policy.of_ram(pid, guest.spec.pieces_kib)
        wrong = [
            *_by_virsh(guest, expect, mode, wanted),
            *_by_kernel(ram, mode, wanted),
            *_by_cgroup(pid, mode, wanted),
        ]
        expect.record.observe("policy_as_asked", not wrong, "bool", guest.name)
        if wrong:
            message = f"The memory of '{guest.name}' should be {mode} on {text(nodes)}: {'; '.join(wrong)}."
            fail(expect.record, "wrong-result", message, guest.name)
        if mode != "preferred":
            expect.record.observe("pages_elsewhere", numa_policy.elsewhere(ram, nodes), "KiB", guest.name)


def _by_virsh(guest: Guest, expect: Expect, mode: str, nodes: set[int]) -> list[str]:
    """Return what virsh says otherwise of the running guest."""
    told = virsh.numatune(guest.name, uri=expect.uri, ignore_status=True).stdout_text
    fields = dict(re.findall(r"^numa_(mode|nodeset)\s*:\s*(\S+)", told, re.MULTILINE))
    right = fields.get("mode") == mode and cpus(fields.get("nodeset", "")) == nodes
    return [] if right else [f"virsh numatune says {fields or 'nothing'}"]


def _by_kernel(ram: Sequence[numa_policy.Placed], mode: str, nodes: set[int]) -> list[str]:
    """Return which policies of the guest's memory are others, and how much of it is said to be nowhere."""
    policy, held = numa_policy.POLICIES[mode], sum(one.held_kib for one in ram)
    lost = numa_policy.unaccounted(ram)
    nowhere = [f"numa_maps has {lost} KiB of {held} KiB on no node"] if lost > UNSEEN * held else []
    return nowhere + [
        f"numa_maps has the policy {one.policy} on {sorted(one.nodes)}, not {policy}"
        for one in ram
        if one.policy != policy or (policy != "default" and one.nodes != nodes)
    ]


def _by_cgroup(pid: int, mode: str, nodes: set[int]) -> list[str]:
    """Return what the cgroup of the guest lets otherwise; it holds the memory in the modes that leave no choice."""
    mems = numa_policy.allowed(Path(f"/proc/{pid}/cgroup").read_text(encoding="ascii"))
    unlimited = mems is None and set(numa_policy.online()) == nodes
    if mode not in {"strict", "restrictive"} or mems == nodes or unlimited:
        return []
    return [f"the cgroup lets it be on {mems}"]


def move(guest: Guest, expect: Expect, nodes: Sequence[int]) -> None:
    """Tie the memory of a guest that runs (restrictive) to other *nodes*: what it holds goes there."""
    with expect.record.step("numatune live", guest.name):
        expect.act(virsh.numatune, guest.name, "", text(nodes), "--live")
        pid, pieces = cpu_use.pid_of(guest), guest.spec.pieces_kib
        try:
            until(
                lambda: not numa_policy.elsewhere(numa_policy.of_ram(pid, pieces), nodes),
                MOVE,
                "memory to move",
                interval=0.5,
            )
        except WaitTimeoutError as error:
            left = numa_policy.elsewhere(numa_policy.of_ram(pid, pieces), nodes)
            message = f"The memory of '{guest.name}' was moved to {text(nodes)}, but {left} KiB are elsewhere. {error}"
            fail(expect.record, "wrong-result", message, guest.name)


def absent_is_refused(guest: Guest, expect: Expect, mode: str, nodes: Sequence[int]) -> None:
    """
    Tie the memory of a guest that is off to a node that the host has not: its start is refused, and why; observe refusal_told (bool).

    libvirt 9.0 takes the definition and refuses the start. Afterwards it is tied to *nodes* again.
    """
    with expect.record.step("absent node", guest.name):
        absent = max(numa_policy.online()) + 1
        tuned = virsh.numatune(guest.name, mode, str(absent), "--config", uri=expect.uri, ignore_status=True)
        done = tuned if tuned.exit_status else virsh.start(guest.name, "--paused", uri=expect.uri, ignore_status=True)
        if not done.exit_status:
            message = f"'{guest.name}' was started with its memory on node {absent}, which the host has not."
            fail(expect.record, "wrong-result", message, guest.name)
        named = re.search(rf"\bnode '?{absent}\b", done.stderr_text, re.IGNORECASE)
        expect.record.observe("refusal_told", bool(named), "bool", guest.name)
        expect.no_process(guest)
    tune(guest, expect, mode, nodes)
