# SPDX-License-Identifier: GPL-2.0-or-later
"""
Nothing of the machine that the golden image was made on is left in it, and a guest of it makes its own at its first boot.

Use case ``hvqual.prep.image.sysprep``.
"""

from dataclasses import dataclass

from provider.hvqual import golden_guests
from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined
from provider.hvqual.operations import golden


@dataclass(frozen=True)
class ImageSysprep:
    """How long the look at the image's disk may take, and the guest until its services have settled (s)."""

    check_timeout: float
    settle_timeout: float


def run(test, params, env):
    """
    1. Look into the image's disk, which nobody runs: no machine id, host keys, logs, history, leases or names of interfaces.
    2. Start a guest of a copy and watch it for a while.
    3. It has made a machine id, a host key and a name of its own.
    """
    with case(test, params, env, ImageSysprep) as it:
        golden_guests.look(it, ("image.template",), it.own.check_timeout)
        golden_guests.load(it)
        with defined(it) as stand:
            (guest,) = stand.guests
            golden.up(guest, stand.expect, it.own.settle_timeout)
            with stand.watched():
                stand.hold()
            golden.first_boot(guest, it.record)
