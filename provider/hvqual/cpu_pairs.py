# SPDX-License-Identifier: GPL-2.0-or-later
"""Which operations of a sequence stand between two of hotplug: before, after, and both ("in different sequence")."""

from __future__ import annotations

from collections.abc import Iterable

from avocado.core.exceptions import TestError

from provider.hvqual.record import Record

HOTPLUG = ("plug", "unplug")
# What undoes an operation belongs to it: nothing can be plugged into a guest that is off.
SECOND = {
    "suspend": "resume",
    "managed_save": "start_saved",
    "shutdown": "start",
    "destroy": "start",
}


def pairs(text: str) -> frozenset[tuple[str, str, str]]:
    """Return each operation of the sequence *text* that stands between two of hotplug, with these: (before, operation, after)."""
    names = text.split()
    found = set()
    for place, name in enumerate(names):
        end = place + 1 if place + 1 < len(names) and SECOND.get(name) == names[place + 1] else place
        if place and end + 1 < len(names) and names[place - 1] in HOTPLUG and names[end + 1] in HOTPLUG:
            found.add((names[place - 1], name, names[end + 1]))
    return frozenset(found)


def covered(text: str, operations: Iterable[str], record: Record) -> None:
    """Observe hotplug_pairs (count): the operations that stand between two of hotplug; TestError when one of *operations* does not."""
    found = pairs(text)
    missing = sorted(set(operations) - {name for _, name, _ in found})
    if missing:
        message = f"hv_sequence does not have {', '.join(missing)} between two of hotplug, as hv_pairs_of asks for."
        raise TestError(message)
    record.observe("hotplug_pairs", len(found), "count")
