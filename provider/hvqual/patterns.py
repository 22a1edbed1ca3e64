# SPDX-License-Identifier: GPL-2.0-or-later
"""A pattern that each guest of a case holds in its memory, in its first NUMA node (`pattern`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from provider.hvqual import pattern, together

if TYPE_CHECKING:
    from provider.hvqual.expect import Expect
    from provider.hvqual.guests import Guest
    from provider.hvqual.pattern import Pattern

NODE = 0


def laid(guests: Sequence[Guest], mib: int) -> dict[str, Pattern]:
    """Have each guest hold a pattern of *mib*; return them by the guests' names."""
    found = together.each(guests, lambda guest: pattern.lay(guest, mib, NODE))
    return {guest.name: held for guest, held in zip(guests, found)}


def kept(guest: Guest, expect: Expect, held: Mapping[str, Pattern]) -> None:
    """Observe pattern_kept (bool): the guest finds its pattern of *held* again to the bit."""
    with expect.record.step("find pattern", guest.name):
        pattern.kept(guest, expect.record, held[guest.name])
