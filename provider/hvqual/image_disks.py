# SPDX-License-Identifier: GPL-2.0-or-later
"""The disks of guests: made anew, or a copy of the disk that their image has."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

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
    """Make the guest's disks; a copy of its image's by reference where the file system can, else without its holes."""
    if guest.image.disk is None:
        make_disks(guest.spec)
        return
    command = f"cp --reflink=auto --sparse=always {shlex.quote(str(guest.image.disk))} {shlex.quote(guest.spec.disk)}"
    process.run(command, timeout=_TIMEOUT_S)
