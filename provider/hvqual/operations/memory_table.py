# SPDX-License-Identifier: GPL-2.0-or-later
"""
The operations on the memory of a running guest that sequences and walks may combine with those of `table.LIFECYCLE`.

They are made for one case: what is plugged, how much the balloon takes, and what lies in the DIMMs is the case's.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Callable

from provider.hvqual import contents
from provider.hvqual.engine import RUNNING, Model, Operation
from provider.hvqual.operations import balloon, snapshots

if TYPE_CHECKING:
    from provider.hvqual.expect import Expect
    from provider.hvqual.guests import Guest
    from provider.hvqual.operations.dimms import Dimms

DIMMS, BALLOONED = "DIMMs", "ballooned"
SNAPSHOT = "memory"


def memory(dimms: Dimms, percent: float) -> dict[str, Operation]:
    """
    Return the operations: DIMMs plugged and unplugged, *percent* taken by the balloon and given back, a snapshot that is gone back to.

    A DIMM is not unplugged from a guest whose memory was taken: it may have no room for what lies in it.
    """
    take = functools.partial(balloon.take_unseen, share=percent)
    rows = (
        Operation("dimm_plug", _runs(lambda model: _dimms(model) < dimms.wanted.dimms), dimms.plug, _plugged(1)),
        Operation(
            "dimm_unplug",
            _runs(lambda model: _dimms(model) > 0 and not _ballooned(model)),
            dimms.unplug,
            _plugged(-1),
        ),
        Operation("balloon_take", _runs(lambda model: not _ballooned(model)), take, _taken(there=True)),
        Operation("balloon_give", _runs(_ballooned), balloon.give_back, _taken(there=False)),
        Operation("snapshot_revert", _runs(lambda _: True), there_and_back, lambda model: model),
    )
    return {row.name: row for row in rows}


def there_and_back(guest: Guest, expect: Expect) -> None:
    """Take a snapshot of the guest in its disk, give it other content, revert and delete it; observe what `snapshots` does."""
    moment = snapshots.take(guest, expect, SNAPSHOT, contents.renew(guest))
    contents.renew(guest)
    snapshots.revert(guest, expect, SNAPSHOT, moment)
    snapshots.delete(guest, expect, SNAPSHOT, [])


def _runs(also: Callable[[Model], bool]) -> Callable[[Model], bool]:
    return lambda model: model.state == RUNNING and also(model)


def _dimms(model: Model) -> int:
    return int(model.live.get(DIMMS, 0))


def _ballooned(model: Model) -> bool:
    return bool(model.live.get(BALLOONED))


def _plugged(change: int) -> Callable[[Model], Model]:
    return lambda model: model.to(live={**model.live, DIMMS: _dimms(model) + change})


def _taken(*, there: bool) -> Callable[[Model], Model]:
    return lambda model: model.to(live={**model.live, BALLOONED: there})
