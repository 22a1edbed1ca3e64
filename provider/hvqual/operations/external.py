# SPDX-License-Identifier: GPL-2.0-or-later
"""
Snapshots beside the guest's disks (external): the disks of the moment stay as they are, what comes after goes to overlays.

Raw disks can have no others. They are merged back by a block commit, and reverted to by libvirt's API where it can
(from 9.10 on), else by the procedure that its documentation gives.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from virttest import virsh

from provider.hvqual import contents, disk_files
from provider.hvqual.contents import Contents
from provider.hvqual.domain_xml import target
from provider.hvqual.expect import Expect
from provider.hvqual.guests import Guest
from provider.hvqual.host_state import removed_overlays, temporary_path
from provider.hvqual.operations import power
from provider.hvqual.operations.snapshots import Moment, holds, is_at, last_beat, listed
from provider.hvqual.steps import fail

#: The first libvirt whose snapshot-revert takes external snapshots.
REVERTS_FROM = 9010000


@dataclass(frozen=True)
class Files:
    """Where the snapshot *name* of a guest lies on the host: an overlay for each disk, and the guest's memory."""

    guest: Guest
    name: str

    @property
    def overlays(self) -> tuple[str, ...]:
        """The overlay of each disk, in the disks' order."""
        return tuple(f"{disk.path}.{self.name}" for disk in self.guest.spec.disks)

    @property
    def memory(self) -> str:
        """The file with the guest's memory."""
        return f"{self.guest.spec.disk}.{self.name}-memory"


@contextmanager
def room(guest: Guest, names: Sequence[str]) -> Iterator[list[Files]]:
    """Hold places for the files of the snapshots *names*; nothing is there before and after the block."""
    found = [Files(guest, name) for name in names]
    with ExitStack() as stack:
        for disk in guest.spec.disks:
            stack.enter_context(removed_overlays(disk.path))
        for files in found:
            for path in (*files.overlays, files.memory):
                stack.enter_context(temporary_path(path))
        yield found


def merged_and_reverted(guest: Guest, expect: Expect, reverts: Sequence[str]) -> None:
    """Merge one snapshot's overlays back, then revert to one of each kind of *reverts*; each leaves nothing behind."""
    contents.renew(guest)
    with room(guest, ("merged", *reverts)) as (merged, *others):
        held = take(guest, expect, merged, memory=False)
        commit(guest, expect, merged, held)
        by_api = reverts_by_api(expect)
        for files in others:
            before = last_beat(guest)
            take(guest, expect, files, memory=files.name == WITH_MEMORY)
            moment = Moment(held, before.boot_id, before.seq, last_beat(guest).seq)
            KINDS[files.name](guest, expect, files, moment, by_api=by_api)


def take(guest: Guest, expect: Expect, files: Files, *, memory: bool) -> Contents:
    """
    Take a snapshot of the running guest, its memory with it or not; observe snapshot_time (s).

    Overlays are active then: returned is other content that the guest is given, of which its disks on the host know nothing.
    """
    record, frozen = expect.record, disk_files.content_marks(guest.spec)
    with record.step("snapshot", guest.name):
        kind = f"--memspec file={files.memory},snapshot=external" if memory else "--disk-only"
        disks = [
            f"--diskspec {target(number)},snapshot=external,file={path}" for number, path in enumerate(files.overlays)
        ]
        called = expect.act(virsh.snapshot_create_as, guest.name, " ".join([files.name, "--atomic", kind, *disks]))
        record.observe("snapshot_time", time.monotonic() - called, "s", guest.name)
        runs(guest, expect)
        listed(guest, expect, [files.name])
        reads_from(guest, expect, [files.overlays])
        if memory:
            _memory_is_saved(guest, expect, files)
        fresh = contents.renew(guest)
        if disk_files.content_marks(guest.spec) != frozen:
            message = f"'{guest.name}' still writes to its disks beneath the snapshot '{files.name}'."
            fail(record, "wrong-result", message, guest.name)
    return fresh


def commit(guest: Guest, expect: Expect, files: Files, held: Contents) -> None:
    """Merge the overlays into the disks beneath while the guest runs; observe commit_time (s). It holds *held* all along."""
    record = expect.record
    with record.step("commit", guest.name):
        called = time.monotonic()
        for number, _ in enumerate(files.overlays):
            expect.act(virsh.blockcommit, guest.name, target(number), "--active --pivot")
        record.observe("commit_time", time.monotonic() - called, "s", guest.name)
        runs(guest, expect)
        reads_from(guest, expect, [])
        holds(guest, expect, held)
        if disk_files.content_marks(guest.spec) != [held[target(number)] for number in range(len(guest.spec.disks))]:
            message = f"The disks of '{guest.name}' do not hold on the host what the guest reads from them."
            fail(record, "data-loss", message, guest.name)
    forget(guest, expect, files)


def revert(guest: Guest, expect: Expect, files: Files, moment: Moment, *, by_api: bool) -> None:
    """Revert to a snapshot with memory, by the API or by the procedure; observe revert_time (s). It is at *moment* again."""
    record = expect.record
    if not by_api:
        api_refuses(guest, expect, files)
    with record.step("revert", guest.name):
        guest.hang_up()
        if by_api:
            called = expect.act(virsh.snapshot_revert, guest.name, files.name)
            done = time.monotonic()
            expect.state(guest.name, "running", "from_snapshot")
        else:
            called = _power_cut(guest, expect)
            _redefine(guest, expect)
            expect.act(virsh.restore, files.memory)
            done = time.monotonic()
            expect.state(guest.name, "running", "restored")
            guest.on = True
        is_at(guest, expect, moment, called, done)
        holds(guest, expect, moment.held)
    _back_on_disks(guest, expect, files, by_api=by_api)


def boots_from(guest: Guest, expect: Expect, files: Files, moment: Moment, *, by_api: bool) -> None:
    """Revert to a snapshot without memory: the guest boots with the disks of then; observe what `Witness.rearm` does."""
    with expect.record.step("revert", guest.name):
        guest.hang_up()
        _power_cut(guest, expect)
        if by_api:
            expect.act(virsh.snapshot_revert, guest.name, files.name)
        else:
            _redefine(guest, expect)
    power.start(guest, expect)
    guest.witness.rearm()
    holds(guest, expect, moment.held, memory=False)
    _back_on_disks(guest, expect, files, by_api=by_api)


#: By the name under which a case asks for them: what is in a snapshot, and how it is reverted to.
WITH_MEMORY = "memory"
KINDS = {WITH_MEMORY: revert, "disks": boots_from}


def reverts_by_api(expect: Expect) -> bool:
    """Whether this libvirt reverts to external snapshots by itself; the answer and its reason are recorded."""
    version = int(expect.truth.connection.getLibVersion())
    told = f"libvirt {version // 1000000}.{version // 1000 % 1000}.{version % 1000}; from 9.10.0 on it can"
    expect.record.capability("revert to external snapshots by the API", told, ok=version >= REVERTS_FROM)
    return version >= REVERTS_FROM


def api_refuses(guest: Guest, expect: Expect, files: Files) -> None:
    """Expect that a libvirt which cannot revert to external snapshots says so and leaves the guest alone; observe refusal_told."""
    record = expect.record
    done = virsh.snapshot_revert(guest.name, files.name, uri=expect.uri, ignore_status=True, timeout=expect.timeout)
    said = done.stderr_text.strip()
    if not done.exit_status:
        message = f"The revert of '{guest.name}' to an external snapshot was reported as done by a libvirt that cannot."
        fail(record, "wrong-result", message, guest.name)
    told = "external" in said and "not supported" in said
    record.observe("refusal_told", told, "bool", guest.name)
    if not told:
        message = f"libvirt refused to revert to an external snapshot without saying that it cannot: {said!r}"
        fail(record, "wrong-text", message, guest.name)
    runs(guest, expect)
    reads_from(guest, expect, [files.overlays])


def reads_from(guest: Guest, expect: Expect, layers: Sequence[Sequence[str]]) -> None:
    """
    Expect each disk to be read through the overlays of *layers* (newest first) down to the disk itself.

    By virsh, by the definition of the next start, by the files' own headers, and by what QEMU has open.
    """
    live, told = _sources(guest, expect), _listed_sources(guest, expect)
    held = disk_files.open_files(expect.one_process(guest))
    for number, disk in enumerate(guest.spec.disks):
        wanted = [*(layer[number] for layer in layers), disk.path]
        name = target(number)
        found = [told.get(name), live.get(name)]
        if found != wanted[:1] * 2 or disk_files.chain(wanted[0]) != wanted or wanted[0] not in held:
            message = (
                f"Disk {name} of '{guest.name}' should be read by way of {wanted}; virsh and the next start name {found}, "
                f"on the host it is {disk_files.chain(wanted[0])}, QEMU has it {'' if wanted[0] in held else 'not '}open."
            )
            fail(expect.record, "wrong-result", message, guest.name)


def runs(guest: Guest, expect: Expect) -> None:
    """Expect the guest to be running, in one QEMU."""
    found = expect.truth.state(guest.name)
    if found[0] != "running":
        message = f"'{guest.name}' should be running; libvirt says {' / '.join(found)}."
        fail(expect.record, "wrong-result", message, guest.name)
    expect.one_process(guest)


def forget(guest: Guest, expect: Expect, files: Files) -> None:
    """Remove what libvirt knows of the snapshot, and its files."""
    with expect.record.step("delete snapshot", guest.name):
        expect.act(virsh.snapshot_delete, guest.name, files.name, "--metadata")
        listed(guest, expect, [])
    for path in (*files.overlays, files.memory):
        Path(path).unlink(missing_ok=True)


def _back_on_disks(guest: Guest, expect: Expect, files: Files, *, by_api: bool) -> None:
    """Have the guest on its own disks again: the API reverts to overlays of its own making, which are merged back."""
    if by_api:
        for number, _ in enumerate(guest.spec.disks):
            expect.act(virsh.blockcommit, guest.name, target(number), "--active --pivot")
    reads_from(guest, expect, [])
    forget(guest, expect, files)


def _memory_is_saved(guest: Guest, expect: Expect, files: Files) -> None:
    """Expect the file of the guest's memory to be one that libvirt can restore this guest from."""
    told = virsh.save_image_dumpxml(files.memory, uri=expect.uri, ignore_status=True)
    if guest.spec.uuid not in told.stdout_text:
        message = f"'{files.memory}' does not hold the memory of '{guest.name}': {told.stderr_text.strip()}"
        fail(expect.record, "wrong-result", message, guest.name)


def _power_cut(guest: Guest, expect: Expect) -> float:
    """Destroy the guest, the first step of the documented procedure; return when that was called."""
    called = expect.act(virsh.destroy, guest.name)
    expect.state(guest.name, "shut off", "destroyed")
    guest.on = False
    expect.no_process(guest)
    return called


def _redefine(guest: Guest, expect: Expect) -> None:
    """Define the guest again with the disks of before the snapshot."""
    expect.act(virsh.define, str(expect.record.folder / f"{guest.name}.xml"))
    expect.defined_as(guest)


def _sources(guest: Guest, expect: Expect) -> dict[str, str]:
    """Return the file of each disk, by target, in the definition of the next start."""
    found = {}
    for disk in expect.truth.xml(guest.name, inactive=True).iterfind("devices/disk"):
        name, source = disk.find("target"), disk.find("source")
        if name is not None and source is not None:
            found[str(name.get("dev"))] = str(source.get("file"))
    return found


def _listed_sources(guest: Guest, expect: Expect) -> dict[str, str]:
    """Return the file of each disk, by target, as virsh lists those of the running guest."""
    return disk_files.parse_blklist(virsh.domblklist(guest.name, uri=expect.uri, ignore_status=True).stdout_text)
