# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel knows of its clock (adjtimex, read only): ``{"synchronized": bool, "most_error_s": seconds}`` or ``{"error"}``."""

from __future__ import annotations

import ctypes
import json
import os
import sys

STA_UNSYNC = 0x40


class _Timex(ctypes.Structure):
    """The head of struct timex, on 64-bit; room for the rest."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 512),
    )


def ask() -> dict[str, object]:
    """Return what adjtimex says."""
    library, clock = ctypes.CDLL(None, use_errno=True), _Timex()
    if library.adjtimex(ctypes.byref(clock)) < 0:
        return {"error": os.strerror(ctypes.get_errno())}
    return {"synchronized": not clock.status & STA_UNSYNC, "most_error_s": clock.maxerror / 1e6}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(ask()) + "\n")
