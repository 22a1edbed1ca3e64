# SPDX-License-Identifier: GPL-2.0-or-later
"""The GNU build id that the linker wrote into a program, or into the running kernel: ``build_id.py FILE...``, one JSON object."""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

NOTES = "/sys/kernel/notes"
GNU_BUILD_ID = 3
_NOTE_SEGMENT, _NOTE_SECTION = 4, 7


def build_id(path: str) -> str:
    """Return the build id in hexadecimal; ValueError with the reason when there is none."""
    blob = Path(path).read_bytes()
    parts = _of_elf(blob) if blob[:4] == b"\x7fELF" else iter([blob]) if path == NOTES else None
    if parts is None:
        message = "it is no ELF file, perhaps a script"
        raise ValueError(message)
    for notes in parts:
        for name, kind, content in _notes(notes):
            if name == b"GNU\0" and kind == GNU_BUILD_ID:
                return content.hex()
    message = "it has no build id"
    raise ValueError(message)


def _of_elf(blob: bytes) -> Iterator[bytes]:
    """Yield the notes of a 64-bit little-endian program: of its segments, and of its sections."""
    if blob[4:6] != b"\x02\x01":
        message = "it is no 64-bit little-endian ELF file"
        raise ValueError(message)
    segments, sections = struct.unpack_from("<QQ", blob, 32)
    segment_size, segment_count, section_size, section_count = struct.unpack_from("<HHHH", blob, 54)
    for number in range(segment_count):
        at = segments + number * segment_size
        if struct.unpack_from("<I", blob, at)[0] == _NOTE_SEGMENT:
            offset, length = struct.unpack_from("<Q", blob, at + 8)[0], struct.unpack_from("<Q", blob, at + 32)[0]
            yield blob[offset : offset + length]
    for number in range(section_count):
        at = sections + number * section_size
        if struct.unpack_from("<I", blob, at + 4)[0] == _NOTE_SECTION:
            offset, length = struct.unpack_from("<QQ", blob, at + 24)
            yield blob[offset : offset + length]


def _notes(blob: bytes) -> Iterator[tuple[bytes, int, bytes]]:
    """Yield name, type and content of each note; each part is padded to four bytes."""
    at = 0
    while at + 12 <= len(blob):
        name_size, size, kind = struct.unpack_from("<III", blob, at)
        name_at = at + 12
        at = name_at + (name_size + 3 & ~3)
        yield blob[name_at : name_at + name_size], kind, blob[at : at + size]
        at += size + 3 & ~3


def answer(paths: list[str]) -> dict[str, dict[str, str]]:
    """Return for each path its build id, or why there is none."""
    said: dict[str, dict[str, str]] = {}
    for path in paths:
        try:
            said[path] = {"build_id": build_id(path)}
        except (OSError, ValueError, OverflowError, struct.error) as error:
            said[path] = {"error": getattr(error, "strerror", None) or str(error)}
    return said


if __name__ == "__main__":
    sys.stdout.write(json.dumps(answer(sys.argv[1:])) + "\n")
