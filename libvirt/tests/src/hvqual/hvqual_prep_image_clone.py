# SPDX-License-Identifier: GPL-2.0-or-later
"""
Clones of the golden image are machines of their own, apart from one another and from the image, which stays as it was.

Use case ``hvqual.prep.image.clone``.
"""

from dataclasses import dataclass

from provider.hvqual import golden_guests
from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined
from provider.hvqual.operations import golden
from provider.hvqual.operations.importing import content


@dataclass(frozen=True)
class ImageClone:
    """How long one clone may take, and the guests until their services have settled (s)."""

    clone_timeout: float
    settle_timeout: float


def run(test, params, env):
    """
    1. Define a domain over the image and clone it: each clone has a UUID, a MAC address and a disk of its own, equal to the image's.
    2. Start the clones and watch them for a while.
    3. Machine id, host key, name, boot, MAC address and leased address of each are its own; what one writes is in no other.
    4. The image is, byte for byte, what it was before.
    """
    with case(test, params, env, ImageClone) as it:
        image = golden_guests.load(it)
        before = content(image.disk)
        with golden_guests.source(it, image) as source:
            with defined(it, making=golden_guests.cloned(it, source)) as stand:
                stand.each(golden.up, it.own.settle_timeout)
                with stand.watched():
                    stand.hold()
                golden.differ([golden.identity(guest) for guest in stand.guests], it.record)
                golden.written_apart(stand.guests, it.record)
        golden.unchanged(image.disk, before, it.record)
