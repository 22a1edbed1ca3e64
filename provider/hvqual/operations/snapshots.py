# SPDX-License-Identifier: GPL-2.0-or-later
"""
Snapshots inside the guest's own disks (internal): taken, listed, reverted to and deleted, with memory, on a running guest.

Each is held against libvirt (current, parent, children), the disks' own tables on the host, and what the guest holds.
"""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from avocado.core.exceptions import TestError
from avocado.utils import process
from virttest import virsh

from provider.hvqual import contents, disk_files
from provider.hvqual.contents import Contents
from provider.hvqual.expect import Expect
from provider.hvqual.guests import Guest
from provider.hvqual.heartbeat import SERIAL, Beat
from provider.hvqual.steps import fail

if TYPE_CHECKING:
    from provider.hvqual.stand import Stand


# A guest beats each 0.1 s (heartbeat.py); one that is late to be heard has missed a few.
BEAT, SLACK = 0.1, 20


class Wanted(Protocol):
    """How much `many` does (the test's own parameters)."""

    snapshots: int
    reverts: int
    seed: str


@dataclass(frozen=True)
class Moment:
    """The moment of a snapshot: what the guest held, and the numbers of its heartbeats between which it was."""

    held: Contents
    boot_id: str
    first: int
    last: int


def take(guest: Guest, expect: Expect, name: str, held: Contents, parent: str = "") -> Moment:
    """Take the snapshot *name* of the running guest, which holds *held*, as a child of *parent*; observe snapshot_time (s)."""
    record = expect.record
    with record.step("snapshot", guest.name):
        before = last_beat(guest)
        called = expect.act(virsh.snapshot_create_as, guest.name, name)
        record.observe("snapshot_time", time.monotonic() - called, "s", guest.name)
        moment = Moment(held, before.boot_id, before.seq, last_beat(guest).seq)
        is_current(guest, expect, name, parent=parent, children=0)
        expect.state(guest.name, "running", "unpaused")
        expect.one_process(guest)
        in_disks(guest, expect, name, there=True)
    return moment


def revert(guest: Guest, expect: Expect, name: str, moment: Moment) -> None:
    """Revert the guest to the snapshot *name*; observe revert_time (s) to the first heartbeat of its moment, and what it holds."""
    record = expect.record
    with record.step("revert", guest.name):
        # The guest of the snapshot knows nothing of today's connections.
        guest.hang_up()
        called = expect.act(virsh.snapshot_revert, guest.name, name)
        done = time.monotonic()
        expect.state(guest.name, "running", "from_snapshot")
        is_at(guest, expect, moment, called, done)
        expect.one_process(guest)
        holds(guest, expect, moment.held)


def delete(guest: Guest, expect: Expect, name: str, left: Sequence[str]) -> None:
    """Delete the snapshot *name*; exactly those of *left* are there after it, by libvirt and in the disks."""
    with expect.record.step("delete snapshot", guest.name):
        expect.act(virsh.snapshot_delete, guest.name, name)
        listed(guest, expect, left)
        in_disks(guest, expect, name, there=False)


def refused(guest: Guest, expect: Expect, name: str) -> None:
    """
    Ask for an internal snapshot of a guest on raw disks, which cannot hold one; observe refusal_told (bool).

    libvirt must say no, and say why by naming the disk and its format. Nothing is left of it.
    """
    record = expect.record
    with record.step("snapshot", guest.name):
        done = virsh.snapshot_create_as(guest.name, name, uri=expect.uri, ignore_status=True, timeout=expect.timeout)
        said = done.stderr_text.strip()
        if not done.exit_status:
            message = (
                f"An internal snapshot of '{guest.name}' on raw disks was reported as taken; such disks hold none."
            )
            fail(record, "wrong-result", message, guest.name)
        told = "internal snapshot" in said and "raw" in said and "vda" in said
        record.observe("refusal_told", told, "bool", guest.name)
        record.capability("internal snapshots on raw disks", f"libvirt refuses: {said}", ok=False)
        if not told:
            message = f"libvirt refused an internal snapshot on a raw disk without saying that this is why: {said!r}"
            fail(record, "wrong-text", message, guest.name)
        listed(guest, expect, [])


def is_current(guest: Guest, expect: Expect, name: str, *, parent: str, children: int) -> None:
    """Expect *name* to be the guest's current snapshot with this parent and so many children, by libvirt-python and virsh."""
    domain = expect.truth.lookup(guest.name)
    snapshot = next((it for it in domain.listAllSnapshots() if it.getName() == name), None)
    if snapshot is None:
        message = (
            f"The snapshot '{name}' of '{guest.name}' was reported as taken; libvirt has only {names(guest, expect)}."
        )
        fail(expect.record, "wrong-result", message, guest.name)
    told = _info(guest, expect, name)
    found = (bool(snapshot.isCurrent()), _parent(snapshot), len(snapshot.listAllChildren()))
    said = (told.get("Current") == "yes", told.get("Parent") or "", int(told.get("Children") or -1))
    wanted = (True, parent, children)
    if not found == said == wanted:
        message = (
            f"The snapshot '{name}' of '{guest.name}' should be (current, parent, children) {wanted}; "
            f"libvirt-python says {found}, virsh {said}."
        )
        fail(expect.record, "wrong-result", message, guest.name)


def listed(guest: Guest, expect: Expect, wanted: Sequence[str]) -> None:
    """Expect libvirt to have exactly the snapshots *wanted* of the guest, by libvirt-python and virsh."""
    found = names(guest, expect)
    told = virsh.command(f"snapshot-list {guest.name} --name", uri=expect.uri, ignore_status=True).stdout_text.split()
    if not sorted(found) == sorted(told) == sorted(wanted):
        message = (
            f"'{guest.name}' should have the snapshots {sorted(wanted)}; libvirt-python has {sorted(found)}, "
            f"virsh {sorted(told)}."
        )
        fail(expect.record, "wrong-result", message, guest.name)


def names(guest: Guest, expect: Expect) -> list[str]:
    """Return the names of the guest's snapshots, as libvirt-python has them."""
    return [snapshot.getName() for snapshot in expect.truth.lookup(guest.name).listAllSnapshots()]


def in_disks(guest: Guest, expect: Expect, name: str, *, there: bool) -> None:
    """Expect the snapshot to be in the table of each of the guest's disks, and the memory of the guest with it, or nowhere."""
    tables = {disk.path: disk_files.snapshot_table(disk.path) for disk in guest.spec.disks}
    having = [path for path, found in tables.items() if name in found]
    if len(having) != (len(tables) if there else 0):
        message = (
            f"The snapshot '{name}' should be in {'each' if there else 'none'} of the disks of '{guest.name}'; "
            f"{having or 'none'} of {list(tables)} has it."
        )
        fail(expect.record, "wrong-result", message, guest.name)
    if there and not any(found[name] for found in tables.values()):
        message = f"The snapshot '{name}' of the running '{guest.name}' holds no memory of it in any of its disks."
        fail(expect.record, "wrong-result", message, guest.name)


def last_beat(guest: Guest) -> Beat:
    """Return the guest's last heartbeat; TestError when it was never heard."""
    beats = guest.witness.observer.beats(guest.name, SERIAL)
    if not beats:
        message = f"'{guest.name}' was never heard, so nobody can tell whether it goes back."
        raise TestError(message)
    return beats[-1]


def is_at(guest: Guest, expect: Expect, moment: Moment, called: float, done: float) -> None:
    """
    Expect the guest to go on at *moment*: its first heartbeat after *done* has a number from then, of the same boot.

    Observe revert_time (s), from *called* to that heartbeat. A guest that goes on where it was, or boots, was not reverted.
    """
    beat = guest.witness.ready(done, guest.wanted.ready_timeout)
    expect.record.observe("revert_time", beat.at - called, "s", guest.name)
    most = moment.last + int((beat.at - called) / BEAT) + SLACK
    if beat.boot_id != moment.boot_id or not moment.first <= beat.seq <= most:
        message = (
            f"'{guest.name}' was not reverted though libvirt said so: its heartbeat is number {beat.seq} of boot "
            f"{beat.boot_id}, where {moment.first} to {most} of boot {moment.boot_id} is the snapshot's moment."
        )
        fail(expect.record, "wrong-result", message, guest.name)


def holds(guest: Guest, expect: Expect, wanted: Contents, *, memory: bool = True) -> None:
    """
    Observe snapshot_disk and, with *memory*, snapshot_memory and snapshot_process: the guest holds what it held then.

    Content that is not as it was at the snapshot is lost, whatever libvirt said.
    """
    record, found = expect.record, contents.read(guest)
    wrong = contents.differences(wanted, found)
    disks = [key for key in wrong if key not in {contents.MEMORY, contents.PROCESS}]
    record.observe("snapshot_disk", not disks, "bool", guest.name)
    if memory:
        record.observe("snapshot_memory", contents.MEMORY not in wrong, "bool", guest.name)
        record.observe("snapshot_process", contents.PROCESS not in wrong, "bool", guest.name)
    if disks or (memory and wrong):
        message = f"'{guest.name}' does not hold what it held at the snapshot: {', '.join(wrong)} differ."
        fail(record, "data-loss", message, guest.name)


def tree(guest: Guest, expect: Expect) -> None:
    """Take two snapshots, the second a child of the first; revert to each, the first being deleted in between; delete both."""
    first = take(guest, expect, "first", contents.renew(guest))
    second = take(guest, expect, "second", contents.renew(guest), "first")
    contents.renew(guest)
    revert(guest, expect, "first", first)
    is_current(guest, expect, "first", parent="", children=1)
    delete(guest, expect, "first", ["second"])
    revert(guest, expect, "second", second)
    is_current(guest, expect, "second", parent="", children=0)
    delete(guest, expect, "second", [])


def many(stand: Stand, wanted: Wanted) -> None:
    """Do `some` on every guest at once; an empty seed is drawn, the one used is recorded."""
    seed = wanted.seed or secrets.token_hex(4)
    stand.case.record.seed(seed, f"{wanted.reverts} reverts to {wanted.snapshots} snapshots of each VM")
    seeds = {guest.name: f"{seed}/{number}" for number, guest in enumerate(stand.guests, 1)}
    stand.each(lambda guest, expect: some(guest, expect, wanted, seeds[guest.name]))


def some(guest: Guest, expect: Expect, wanted: Wanted, seed: str) -> None:
    """Take snapshots (2 or more), each of other content; revert to others by *seed*; delete all, in an order chosen by it too."""
    chosen = random.Random(seed)  # noqa: S311 - repeatable, not secret
    taken: dict[str, Moment] = {}
    now = ""
    for number in range(1, wanted.snapshots + 1):
        name = f"number-{number}"
        taken[name] = take(guest, expect, name, contents.renew(guest), now)
        now = name
    for _ in range(wanted.reverts):
        now = chosen.choice(sorted(taken.keys() - {now}))
        revert(guest, expect, now, taken[now])
    left = sorted(taken)
    chosen.shuffle(left)
    while left:
        delete(guest, expect, left.pop(), left)


def _parent(snapshot: Any) -> str:
    """Return the name of the snapshot's parent, '' when it has none."""
    return next((it.getName() for it in _above(snapshot)), "")


def _above(snapshot: Any) -> list[Any]:
    """Return the parent in a list, empty for a root: asking libvirt for the parent of a root is an error."""
    return [] if "<parent>" not in snapshot.getXMLDesc(0) else [snapshot.getParent()]


def _info(guest: Guest, expect: Expect, name: str) -> dict[str, Any]:
    try:
        told: dict[str, Any] = virsh.snapshot_info(guest.name, name, uri=expect.uri)
    except process.CmdError as error:
        message = f"virsh tells nothing of the snapshot '{name}' of '{guest.name}': {error.result.stderr_text.strip()}"
        fail(expect.record, "wrong-result", message, guest.name)
    return told
