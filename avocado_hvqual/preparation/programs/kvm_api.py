# SPDX-License-Identifier: GPL-2.0-or-later
"""What /dev/kvm says of itself: one JSON object, ``{"api": 12}`` or ``{"error": "..."}``."""

from __future__ import annotations

import fcntl
import json
import os
import sys

DEVICE = "/dev/kvm"
KVM_GET_API_VERSION = 0xAE00


def ask(device: str = DEVICE) -> dict[str, object]:
    """Return the version of the interface, or why it cannot be asked."""
    try:
        descriptor = os.open(device, os.O_RDWR | os.O_CLOEXEC)
        try:
            return {"api": fcntl.ioctl(descriptor, KVM_GET_API_VERSION)}
        finally:
            os.close(descriptor)
    except OSError as error:
        return {"error": error.strerror or str(error)}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(ask()) + "\n")
