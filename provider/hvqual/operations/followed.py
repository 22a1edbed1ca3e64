# SPDX-License-Identifier: GPL-2.0-or-later
"""Operations that are looked at from one more side: after each, whatever it leaves the guest in (running, paused, off)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Callable

from provider.hvqual.engine import RUNNING, Held, Model, Operation, Table

if TYPE_CHECKING:
    from provider.hvqual.expect import Expect
    from provider.hvqual.guests import Guest

UP = Model(RUNNING, boots=1)
"""A guest that was brought up."""


def followed(table: Table, look: Held) -> dict[str, Operation]:
    """Return the operations of *table*, each followed by *look* (guest, expect)."""
    return {name: dataclasses.replace(row, act=_then(row.act, look)) for name, row in table.items()}


def _then(act: Callable[[Guest, Expect], Any], look: Held) -> Callable[[Guest, Expect], Any]:
    def both(guest: Guest, expect: Expect) -> Any:
        done = act(guest, expect)
        look(guest, expect)
        return done

    return both
