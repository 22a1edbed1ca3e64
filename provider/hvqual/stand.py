# SPDX-License-Identifier: GPL-2.0-or-later
"""The guests of one case on their node, whatever the host configuration: one or many, done with all at once."""

from __future__ import annotations

from dataclasses import dataclass, field

from provider.hvqual import together
from provider.hvqual.any_stand import AnyStand
from provider.hvqual.expect import Expect
from provider.hvqual.guests import Guest
from provider.hvqual.heartbeat import Observer
from provider.hvqual.libvirt_truth import Libvirt
from provider.hvqual.operations import power
from provider.hvqual.warm import Warm, WarmError


@dataclass(frozen=True)
class Stand(AnyStand[Expect]):
    """The guests of a case on their node under libvirt, and what the case asks of them."""

    truth: Libvirt
    observer: Observer
    warm: Warm | None = field(default=None)

    def bring_up(self) -> None:
        """
        Have every guest running, with its canaries laid; observe warm_guests (count): 0 when they were booted.

        Warm guests go on where a save file left them, which takes a fraction of a boot (decision 16). What cannot be
        restored is booted, and why is recorded.
        """
        restored = self._restored()
        if not restored:
            self.each(power.start)
            together.each(self.guests, self._armed)
        self.case.record.observe("warm_guests", restored, "count")

    def _armed(self, guest: Guest) -> None:
        """Have the canaries laid and the agent there in a guest that runs."""
        # The agent comes a while after the first heartbeat, in which there is a login to be made.
        guest.witness.arm()
        power.agent_there(guest, self.expect)

    def _restored(self) -> int:
        """Return how many guests go on from their save files: all of them or none."""
        if self.warm is None:
            return 0
        record = self.case.record
        try:
            with record.step("warm up"):
                told = self.warm.bring_up(self, self._armed)
        except WarmError as error:
            record.capability("warm guests", str(error), ok=False)
            self.warm.forget()
            self.each(power.off)
            return 0
        record.capability("warm guests", told, ok=True)
        return len(self.guests)
