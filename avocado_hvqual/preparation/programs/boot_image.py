# SPDX-License-Identifier: GPL-2.0-or-later
"""
What an x86 kernel image says of itself: ``boot_image.py FILE`` writes ``{"release", "version", "signed"}`` or ``{"error"}`` as JSON.

*release* and *version* are what `uname -r` and `uname -v` say once it runs: an image that was exchanged since the boot shows by them.
"""

from __future__ import annotations

import json
import re
import struct
import sys
from pathlib import Path

_MAGIC_AT, _MAGIC, _VERSION_AT = 0x202, b"HdrS", 0x20E
_PE_AT, _PE_MAGIC, _PE64, _SECURITY_AT = 0x3C, b"PE\0\0", 0x20B, 24 + 112 + 4 * 8
_TEXT = re.compile(r"(\S+) \(.*?\) (#.*)")


def describe(path: str) -> dict[str, object]:
    """Return what the image says; ValueError when it is no such image."""
    blob = Path(path).read_bytes()
    if blob[_MAGIC_AT : _MAGIC_AT + 4] != _MAGIC:
        message = "it is no x86 kernel image"
        raise ValueError(message)
    at = struct.unpack_from("<H", blob, _VERSION_AT)[0] + 0x200
    text = blob[at : at + 512].split(b"\0", 1)[0].decode("utf-8", "replace")
    said = _TEXT.fullmatch(text)
    if said is None:
        message = f"its text of its version cannot be read: {text[:80]!r}"
        raise ValueError(message)
    return {"release": said[1], "version": said[2], "signed": _signed(blob)}


def _signed(blob: bytes) -> bool:
    """Whether the image, which is a PE program too, carries a signature for secure boot (whose, is not asked)."""
    at = struct.unpack_from("<I", blob, _PE_AT)[0]
    if blob[at : at + 4] != _PE_MAGIC or struct.unpack_from("<H", blob, at + 24)[0] != _PE64:
        return False
    return bool(struct.unpack_from("<I", blob, at + _SECURITY_AT + 4)[0])


def answer(path: str) -> dict[str, object]:
    """Return the description, or why there is none."""
    try:
        return describe(path)
    except (OSError, ValueError, struct.error) as error:
        return {"error": getattr(error, "strerror", None) or str(error)}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(answer(sys.argv[1])) + "\n")
