# SPDX-License-Identifier: GPL-2.0-or-later
"""The disks of guests: made anew, or a copy of the disk that their image has."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

from avocado.core.exceptions import TestError
from avocado.utils import process

from provider.hvqual.guests import MIB, Guest, make_disks

if TYPE_CHECKING:
    from provider.hvqual.expect import Expect
    from provider.hvqual.host_config import Shape
    from provider.hvqual.images import Image

_TIMEOUT_S = 300


def sized(shape: Shape, image: Image) -> Shape:
    """Return the shape with one disk of the size of the image's; as it is, where the image has none."""
    return shape if image.disk is None else replace(shape, disks_mib=(image.disk.stat().st_size // MIB,))


def made(guest: Guest, _expect: Expect) -> None:
    """
    Make the guest's disks; a copy of its image's by reference where the file system can, else without its holes.

    TestError when one is there already, or is to be of another format than the image's, which is raw.
    """
    make_disks(guest.spec)
    if guest.image.disk is None:
        return
    (own,) = guest.spec.disks
    if own.format != "raw":
        message = f"The disk of the image '{guest.image.name}' is raw, the guest's is to be {own.format}. Leave hv_disk_format at raw."
        raise TestError(message)
    command = f"cp --reflink=auto --sparse=always {shlex.quote(str(guest.image.disk))} {shlex.quote(own.path)}"
    process.run(command, timeout=_TIMEOUT_S)
