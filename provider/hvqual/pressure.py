# SPDX-License-Identifier: GPL-2.0-or-later
"""Memory taken from a guest by the host, without its knowing: a limit set by virsh, below what its QEMU has in use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from avocado.core.exceptions import TestError
from virttest import virsh

from provider.hvqual import host_process, smaps, thp
from provider.hvqual.host_state import undone
from provider.hvqual.steps import fail
from provider.hvqual.undo_limit import HARD, UNLIMITED
from provider.hvqual.wait import WaitTimeoutError, until

if TYPE_CHECKING:
    from provider.hvqual.expect import Expect
    from provider.hvqual.guests import Guest
    from provider.hvqual.stand import Stand

# What a cgroup has in use and may have, version 1 and version 2.
USAGE = ("memory.usage_in_bytes", "memory.current")
LIMIT = ("memory.limit_in_bytes", "memory.max")
# How often a limit is lowered: the kernel takes what it finds cold first, which may be memory of QEMU itself. And how long it is waited for
# the guest's memory each time (s): the kernel takes it while the limit is set, so it is as good as there.
TURNS, SETTLE = 2, 2.0


@contextmanager
def squeezing(stand: Stand, share: float) -> Iterator[None]:
    """
    Hold the guests of *stand* under a limit of their memory on the host (`_squeeze`) for the length of the block, then lift it.

    It is lifted after a failure too, and before the swap of a block around this one goes.
    """
    expect = stand.expect
    with ExitStack() as stack:
        for guest in stand.guests:
            stack.enter_context(undone("lift_memory_limit", name=guest.name, uri=expect.uri))
        stand.each(_squeeze, share)
        yield
        stand.each(_released)


def _squeeze(guest: Guest, expect: Expect, share: float) -> None:
    """
    Limit the guest's memory on the host to what it has in use, less *share* of what is behind the guest's own.

    Again that much less where nothing of the guest's own was swapped out.
    Observe swapped_out (KiB) of the guest's memory, and thp_split (KiB), by how much less of it lies in huge pages.
    """
    with expect.record.step("squeeze", guest.name):
        before = thp.ram_of(guest)
        behind, huge = sum(one.resident for one in before), sum(one.huge for one in before)
        used = _of_cgroup(guest, USAGE) // 1024
        for turn in range(1, TURNS + 1):
            limit = used - int(behind * share * turn)
            expect.act(virsh.memtune_set, guest.name, f"--hard-limit {limit} --live")
            _limited(guest, expect, limit)
            if _swapped(guest):
                break
        else:
            message = f"'{guest.name}' was limited to {limit} KiB of {used}, but nothing of its memory was swapped out."
            fail(expect.record, "wrong-result", message, guest.name)
        after = thp.ram_of(guest)
        expect.record.observe("swapped_out", sum(one.swap for one in after), "KiB", guest.name)
        expect.record.observe("thp_split", huge - sum(one.huge for one in after), "KiB", guest.name)


def _swapped(guest: Guest) -> bool:
    """Return whether some of the guest's own memory is swapped out, in a while."""
    try:
        return until(lambda: any(one.swap for one in thp.ram_of(guest)), SETTLE, f"'{guest.name}' to be swapped out")
    except WaitTimeoutError:
        return False


def _released(guest: Guest, expect: Expect) -> None:
    """Take the limit away again, by virsh, as a user does."""
    with expect.record.step("release", guest.name):
        expect.act(virsh.memtune_set, guest.name, "--hard-limit -1 --live")
        _limited(guest, expect, None)


def _limited(guest: Guest, expect: Expect, limit: int | None) -> None:
    """Expect libvirt and the guest's cgroup to have the same limit (KiB), or none."""
    told = int(expect.truth.lookup(guest.name).memoryParameters(0)[HARD])
    counted = _of_cgroup(guest, LIMIT) // 1024
    # The kernel counts in whole pages.
    whole = UNLIMITED if limit is None else limit - limit % smaps.BASE_PAGE_KIB
    good = min(told, counted) >= whole if limit is None else counted == whole and told in {whole, limit}
    if not good:
        message = f"'{guest.name}' should be limited to {limit or 'no'} KiB; libvirt says {told}, its cgroup {counted}."
        fail(expect.record, "wrong-result", message, guest.name)


def _of_cgroup(guest: Guest, names: tuple[str, ...]) -> int:
    """Return the number in the memory cgroup of the guest, whose file has one of *names*; TestError when there is none."""
    for folder in host_process.cgroup_folders(guest.name):
        for name in names:
            if (folder / name).is_file():
                text = (folder / name).read_text(encoding="ascii").strip()
                return UNLIMITED * 1024 if text == "max" else int(text)
    message = f"No memory cgroup of '{guest.name}' has {' or '.join(names)}: its memory cannot be limited here."
    raise TestError(message)
