# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that a walk has left in any state, running again: resumed, started from its managed save, or booted."""

from __future__ import annotations

from provider.hvqual.expect import Expect
from provider.hvqual.guests import Guest
from provider.hvqual.operations import pause, power, saving


def up(guest: Guest, expect: Expect) -> None:
    """Have the guest running, its canaries as they were or, after a boot, laid anew."""
    state = expect.truth.state(guest.name)[0]
    if state == "paused":
        pause.resume(guest, expect)
    elif state == "shut off" and expect.truth.lookup(guest.name).hasManagedSaveImage(0):
        saving.start_saved(guest, expect)
    elif state == "shut off":
        power.boots_again(guest, expect)
