# SPDX-License-Identifier: GPL-2.0-or-later
"""Memory taken from a guest by the host, without its knowing: a limit set by virsh, below what its QEMU has in use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from avocado.core.exceptions import TestError
from virttest import virsh

from provider.hvqual import host_process, smaps, thp
from provider.hvqual.steps import fail
from provider.hvqual.wait import WaitTimeoutError, until

if TYPE_CHECKING:
    from provider.hvqual.expect import Expect
    from provider.hvqual.guests import Guest

# What a cgroup has in use and may have, version 1 and version 2.
USAGE = ("memory.usage_in_bytes", "memory.current")
LIMIT = ("memory.limit_in_bytes", "memory.max")
SETTLE = 20.0
# In KiB; libvirt and the kernel each have a number of their own for "no limit", both beyond this.
UNLIMITED = 1 << 50


def squeezed(guest: Guest, expect: Expect, share: float) -> None:
    """
    Limit the guest's memory on the host to what it has in use, less *share* of what is behind the guest's own.

    Observe swapped_out (KiB) of the guest's memory, and thp_split (KiB), by how much less of it lies in huge pages.
    """
    with expect.record.step("squeeze", guest.name):
        before = thp.ram_of(guest)
        behind, huge = sum(one.resident for one in before), sum(one.huge for one in before)
        limit = _of_cgroup(guest, USAGE) // 1024 - int(behind * share)
        expect.act(virsh.memtune_set, guest.name, f"--hard-limit {limit} --live")
        _limited(guest, expect, limit)
        try:
            until(lambda: any(one.swap for one in thp.ram_of(guest)), SETTLE, f"'{guest.name}' to be swapped out")
        except WaitTimeoutError as error:
            message = f"'{guest.name}' was limited to {limit} KiB, but nothing of its memory was swapped out. {error}"
            fail(expect.record, "wrong-result", message, guest.name)
        after = thp.ram_of(guest)
        expect.record.observe("swapped_out", sum(one.swap for one in after), "KiB", guest.name)
        expect.record.observe("thp_split", huge - sum(one.huge for one in after), "KiB", guest.name)


def released(guest: Guest, expect: Expect) -> None:
    """Take the limit away again."""
    with expect.record.step("release", guest.name):
        expect.act(virsh.memtune_set, guest.name, "--hard-limit -1 --live")
        _limited(guest, expect, None)


def _limited(guest: Guest, expect: Expect, limit: int | None) -> None:
    """Expect libvirt and the guest's cgroup to have the same limit (KiB), or none."""
    told = int(expect.truth.lookup(guest.name).memoryParameters(0)["hard_limit"])
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
