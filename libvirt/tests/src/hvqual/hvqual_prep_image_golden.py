# SPDX-License-Identifier: GPL-2.0-or-later
"""
The golden image is what its build proved, and a guest of it comes up by its own boot loader, whole, and goes down in order.

Use case ``hvqual.prep.image.golden``.
"""

from dataclasses import dataclass

from provider.hvqual import golden_guests
from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined
from provider.hvqual.operations import golden, power


@dataclass(frozen=True)
class ImageGolden:
    """How long the look at the image's files may take, and the guest until its services have settled (s)."""

    check_timeout: float
    settle_timeout: float


def run(test, params, env):
    """
    1. Hold the image's files against its manifest, its disk against itself, and its proof against what a guest shall be.
    2. Start a guest of a copy by the disk's own boot loader: its agent answers, one logs in; watch it for a while.
    3. It has the kernel and the packages of the build, a kernel for its crash dump, and no failed unit.
    4. Shut it down by its power button: its file system is clean.
    """
    with case(test, params, env, ImageGolden) as it:
        golden_guests.look(it, ("image.content", "image.disk", "image.proof"), it.own.check_timeout)
        golden_guests.load(it)
        release, packages = golden_guests.built(it)
        with defined(it, making=golden_guests.OWN_LOADER) as stand:
            (guest,) = stand.guests
            golden.up(guest, stand.expect, it.own.settle_timeout)
            with stand.watched():
                stand.hold()
            golden.as_built(guest, it.record, release, packages)
            power.shutdown(guest, stand.expect)
            golden.clean(guest, stand.expect)
