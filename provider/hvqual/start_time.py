# SPDX-License-Identifier: GPL-2.0-or-later
"""
The conditions under which the time of a start is taken: what the page cache holds, and what else the node has to do.

Each start is one sample of guest_ready and domain_running, labelled with its condition.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from avocado.core.exceptions import TestError

from provider.hvqual import cpu_use, images, load, page_cache, together
from provider.hvqual.case import Case
from provider.hvqual.guests import Guest
from provider.hvqual.operations import power
from provider.hvqual.stand import Stand
from provider.hvqual.wait import WaitTimeoutError, until

WARM, COLD, HALF_COLD = "warm cache", "cold cache", "partly cold cache"
# Which part of what a start reads may be in memory before a cold one, and must be before a warm one.
MOST_COLD, LEAST_WARM = 0.1, 0.9
# Somebody may be about to end who has a file mapped: so long (s) eviction is tried again.
EVICTION = 1.0


def images_there(case: Case[Any], more: Sequence[str]) -> Iterator[Case[Any]]:
    """Return the case once for each guest image: its own, and those of *more* that this node has."""
    yield case
    for name in more:
        folder = images.folder_of(case.wanted.image_home, name)
        there = (folder / "manifest.json").is_file()
        case.record.capability(f"image {name}", f"'{folder}' is {'there' if there else 'not there'}", ok=there)
        if there and name != case.wanted.image:
            yield replace(case, wanted=replace(case.wanted, image=name))


def alone(stand: Stand, guests: Sequence[Guest], rounds: int) -> None:
    """Start each of *guests* alone on the empty node, *rounds* times with a warm page cache and as often with a cold one."""
    for guest in guests:
        read = [guest.image.kernel, guest.image.initrd, Path(guest.wanted.qemu_binary)]
        for _ in range(rounds):
            _warm(stand, guest, read)
            read = [guest.image.kernel, guest.image.initrd, *_started(stand, guest)]
            _cold(stand, guest, read)
            _started(stand, guest)


def among_loaded(stand: Stand, rounds: int, share: float, least: float) -> None:
    """
    Start the last guest while all others work, *rounds* times: each vCPU of theirs for *share* percent of a CPU.

    The others are started one after the other, as a node fills. TestError when one works less than *least* percent of *share*:
    such a node is not loaded, and the time says nothing.
    """
    *others, guest = stand.guests
    for other in others:
        _label(stand, other, "node fills")
        power.start(other, stand.expect)
        _label(stand, other, "works")
    with load.burning(others, share, rounds * guest.wanted.ready_timeout):
        _label(stand, guest, f"{len(others)} loaded")
        for _ in range(rounds):
            with cpu_use.counted(others, stand.expect) as uses:
                power.start(guest, stand.expect)
            for use in uses:
                _loaded(stand, use, share, least)
            power.destroy(guest, stand.expect)
    together.each(others, lambda other: power.destroy(other, stand.expect))


def at_once(stand: Stand, group: Sequence[Guest]) -> None:
    """Start *group* at once, and pull their power; observe vms_at_once (count): how many were on their way at one time."""

    def timed(guest: Guest) -> tuple[float, float]:
        begin = time.monotonic()
        power.start(guest, stand.expect)
        return begin, time.monotonic()

    for guest in group:
        _label(stand, guest, f"{len(group)} at once")
    times = together.each(group, timed)
    last_begin = max(begin for begin, _ in times)
    overlapping = sum(end > last_begin for _, end in times)
    stand.case.record.observe("vms_at_once", overlapping, "count")
    if overlapping < len(group):
        message = (
            f"Of {len(group)} VMs only {overlapping} were on their way at one time; this is no start of all at once."
        )
        raise TestError(message)
    together.each(group, lambda guest: power.destroy(guest, stand.expect))


def groups(guests: Sequence[Guest], size: int, rounds: int) -> list[list[Guest]]:
    """Return *rounds* groups of *size* guests (0 = all) that go round, so that each guest has its turn."""
    count = size or len(guests)
    if not 1 <= count <= len(guests):
        message = f"hv_burst asks for {count} VMs at once, the host configuration has {len(guests)}. Lower hv_burst."
        raise TestError(message)
    return [[guests[(first * count + number) % len(guests)] for number in range(count)] for first in range(rounds)]


def parted(case: Case[Any], count: int) -> Case[Any]:
    """Return the case as it is, but under ``single_big`` with *count* equal VMs in the room of the one: it cannot start beside itself."""
    if case.identity.host_config != "single_big":
        return case
    identity = replace(case.identity, host_config="n_equal")
    return replace(case, identity=identity, wanted=replace(case.wanted, vm_count=count))


def _started(stand: Stand, guest: Guest) -> list[Path]:
    """Start the guest and pull its power again; return the files that its QEMU had mapped."""
    power.start(guest, stand.expect)
    files = page_cache.mapped_files(cpu_use.pid_of(guest))
    power.destroy(guest, stand.expect)
    return files


def _warm(stand: Stand, guest: Guest, files: Sequence[Path]) -> None:
    """Have *files* in the page cache; observe page_cache_resident (ratio). TestError when they do not stay there."""
    _label(stand, guest, WARM)
    page_cache.fill(files)
    there = page_cache.resident(files)
    stand.case.record.observe("page_cache_resident", there, "ratio", guest.name)
    if there < LEAST_WARM:
        message = f"{there:.0%} of what the start of '{guest.name}' reads stay in the page cache: this node is short of memory."
        raise TestError(message)


def _cold(stand: Stand, guest: Guest, files: Sequence[Path]) -> None:
    """
    Have none of *files* in the page cache that no process has mapped; observe page_cache_resident (ratio).

    What stays because a process holds it that is not seen from here, such as another QEMU in a namespace of its own, is told, and
    the start is *partly cold*. TestError when the guest's own kernel or initrd stays: nobody maps those.
    """
    idle, record = page_cache.idle(files), stand.case.record
    disks = [Path(disk.path) for disk in guest.spec.disks]

    def cold() -> bool:
        page_cache.evict([*idle, *disks])
        return page_cache.resident(idle) <= MOST_COLD

    try:
        until(cold, EVICTION, "the page cache to let go of what a start reads")
        condition = COLD
    except WaitTimeoutError:
        condition = HALF_COLD
        held = [file for file in idle if page_cache.resident([file]) > MOST_COLD]
        told = f"{', '.join(map(str, held))} stay in memory: somebody who is not seen from here has them mapped"
        record.capability("cold page cache", told, ok=False)
        if {guest.image.kernel, guest.image.initrd} & set(held):
            message = f"The start of '{guest.name}' cannot be made cold: {told}."
            raise TestError(message) from None
    _label(stand, guest, condition)
    record.observe("page_cache_resident", page_cache.resident(idle), "ratio", guest.name)


def _loaded(stand: Stand, use: cpu_use.Use, share: float, least: float) -> None:
    """Observe load_share (percent) of a VM that worked meanwhile."""
    got = min(use.vcpus) / use.seconds * 100
    stand.case.record.observe("load_share", got, "%", use.guest.name)
    if got * 100 < share * least:
        message = f"'{use.guest.name}' was to work at {share:g} % of a CPU and got {got:.1f} %: the node is not loaded as asked."
        raise TestError(message)


def _label(stand: Stand, guest: Guest, condition: str) -> None:
    """Label what is observed of the guest from now on: image if it is not the usual one, flavor, condition."""
    image = guest.image.name if guest.image.name != "micro" else ""
    stand.case.record.labels[guest.name] = ", ".join(word for word in (image, guest.spec.flavor, condition) if word)
