# SPDX-License-Identifier: GPL-2.0-or-later
"""Too few huge pages: what needs them is refused with a word that says why, and nothing of it is left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from virttest import virsh

from provider.hvqual import guest_memory, host_process, hugepages, memory_devices, smaps
from provider.hvqual.host_state import kernel_setting
from provider.hvqual.steps import fail

if TYPE_CHECKING:
    from provider.hvqual.expect import Expect
    from provider.hvqual.guests import Guest

# What libvirt passes on of QEMU's own words: "unable to map backing store for guest RAM: Cannot allocate memory".
TOLD = "memory"


@contextmanager
def short_of(size_kib: int, pages: int) -> Iterator[None]:
    """Hold the kernel's pool one page short of having *pages* that nobody holds or was promised."""
    wanted = hugepages.pool(size_kib).promised + pages - 1
    with kernel_setting(hugepages.POOL / f"hugepages-{size_kib}kB" / "nr_hugepages", wanted):
        yield


def start_refused(guest: Guest, expect: Expect) -> None:
    """Start a guest for which a page is missing: refused, off, nothing left; observe refusal_told (bool) and refusal_leaks (count)."""
    size, name = guest.spec.hugepage_kib, guest.name
    with expect.record.step("start short of pages", name):
        before = hugepages.count(size)
        done = virsh.start(name, uri=expect.uri, ignore_status=True, timeout=expect.timeout)
        if not done.exit_status:
            guest.on = True
            message = (
                f"'{name}' was started with a pool that lacks one of its {_pages(guest)} huge pages of {size} KiB."
            )
            fail(expect.record, "wrong-result", message, name)
        _told(guest, expect, done)
        found = expect.truth.state(name)
        if found[0] != "shut off":
            message = f"The start of '{name}' was refused; it should be shut off and is {' / '.join(found)}."
            fail(expect.record, "wrong-result", message, name)
        expect.no_process(guest)
        _nothing_left(expect, before, size, name)


def plug_refused(guest: Guest, expect: Expect, size_kib: int, node: int, page_kib: int) -> None:
    """Plug a DIMM for which a page is missing: refused, and neither libvirt nor QEMU nor the guest has any of it."""
    name = guest.name
    with expect.record.step("plug short of pages", name):
        before, told = hugepages.count(page_kib), guest_memory.told(guest)
        pid, devices = expect.one_process(guest), memory_devices.of(expect.truth, name)
        file = expect.record.folder / f"{name}-short.xml"
        file.write_text(memory_devices.dimm_xml(size_kib, node, page_kib), encoding="utf-8")
        done = virsh.attach_device(
            name, str(file), flagstr="--live", uri=expect.uri, ignore_status=True, timeout=expect.timeout
        )
        if not done.exit_status:
            message = (
                f"A DIMM of {size_kib} KiB was plugged into '{name}' though a huge page of {page_kib} KiB was missing."
            )
            fail(expect.record, "wrong-result", message, name)
        _told(guest, expect, done)
        same = (expect.one_process(guest), memory_devices.of(expect.truth, name)) == (pid, devices)
        mapped = [one for one in smaps.mappings(pid) if one.size == size_kib and one.page == page_kib]
        if not same or mapped or guest_memory.told(guest) != told:
            now = f"{memory_devices.of(expect.truth, name)}, {len(mapped)} mappings, {guest_memory.told(guest)}"
            message = f"The DIMM for '{name}' was refused, yet something of it is there: {now}."
            fail(expect.record, "leftover", message, name)
        _nothing_left(expect, before, page_kib, name)


def _pages(guest: Guest) -> int:
    return hugepages.wanted_kib(guest.spec) // guest.spec.hugepage_kib


def _told(guest: Guest, expect: Expect, done: Any) -> None:
    """Observe refusal_told: libvirt's own words say that it is memory that is missing."""
    said = done.stderr_text.strip()
    expect.record.observe("refusal_told", TOLD in said.lower(), "bool", guest.name)
    if TOLD not in said.lower():
        message = f"'{guest.name}' lacks huge pages; what virsh says of it does not name memory: {said!r}"
        fail(expect.record, "wrong-text", message, guest.name)


def _nothing_left(expect: Expect, before: hugepages.Count, size_kib: int, name: str) -> None:
    left = hugepages.left_since(before, size_kib)
    expect.record.observe("refusal_leaks", sum(left.values()), "count", name)
    if left:
        message = (
            f"After the refusal huge pages of {size_kib} KiB are held that were not before, by who counts: {left}."
        )
        fail(expect.record, "leftover", message, name)


def no_worse(guest: Guest, expect: Expect) -> None:
    """Expect that the guest is the one process that it was and holds exactly its pages."""
    if not host_process.emulators(guest.name):
        message = f"'{guest.name}' ran beside the one that was refused, and is gone."
        fail(expect.record, "vm-lost", message, guest.name)
    hugepages.exact(guest, expect)
