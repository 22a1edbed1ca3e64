# SPDX-License-Identifier: GPL-2.0-or-later
"""
The kernel inside a bzImage, as QEMU starts it directly by its PVH entry.

Where a guest's CPU is emulated, to unpack 53 MB of kernel and to carry it through the firmware is a seventh of a boot (0.6 of 4.5 s of CPU,
QEMU 7.2, Linux 6.1 with LZ4). QEMU 4.0 and later start an ELF file that has a PVH note, without it refuse it.
"""

from __future__ import annotations

import gzip
import lzma
import struct
import subprocess
import zlib
from collections.abc import Callable

from avocado_hvqual.errors import ImageError


def _by(*line: str) -> Callable[[bytes], bytes]:
    """Return what unpacks by a program that reads stdin."""
    return lambda packed: subprocess.run(line, input=packed, capture_output=True, check=True).stdout


#: Beginning of a payload -> what unpacks it.
_UNPACKERS: dict[bytes, Callable[[bytes], bytes]] = {
    b"\x1f\x8b": gzip.decompress,
    b"\xfd7zXZ\0": lzma.decompress,
    b"\x02\x21\x4c\x18": _by("lz4", "-dcq", "-"),
    b"\x28\xb5\x2f\xfd": _by("zstd", "-dcq"),
}
#: Linux' Documentation/arch/x86/boot.rst: where in a bzImage stands what.
_SECTORS, _MAGIC, _PROTOCOL, _PAYLOAD = 0x1F1, 0x202, 0x206, 0x248
_PROTOCOL_WITH_PAYLOAD = 0x0208
#: Xen's include/public/elfnote.h: the note with the address at which a PVH guest begins.
_PHYS32_ENTRY = 18
#: An ELF file of 64 bits: the lengths of its header and of one segment's.
_ELF, _SEGMENT = 64, 56
_PT_NOTE = 4


def from_bzimage(image: bytes) -> bytes | None:
    """
    Return the ELF file that bzImage *image* holds if a guest can be started from it, None if it has no PVH entry.

    None too for an image that is no bzImage or is packed in another way than by gzip, xz, lz4 or zstd. Raises `ImageError` for one
    that says how it is packed, and is not.
    """
    packed = _payload(image)
    unpack = next((unpack for magic, unpack in _UNPACKERS.items() if packed.startswith(magic)), None)
    if unpack is None:
        return None
    elf = _unpacked(packed, unpack)
    return elf if has_pvh_entry(elf) else None


def has_pvh_entry(elf: bytes) -> bool:
    """Whether the ELF file has a note by which it is started as a PVH guest."""
    if elf[:6] != b"\x7fELF\x02\x01" or len(elf) < _ELF:
        return False
    start, size, count = struct.unpack_from("<Q", elf, 32)[0], *struct.unpack_from("<HH", elf, 54)
    for number in range(count):
        where = start + number * size
        if len(elf) < where + _SEGMENT:
            return False
        if struct.unpack_from("<I", elf, where)[0] == _PT_NOTE:
            offset, length = struct.unpack_from("<Q", elf, where + 8)[0], struct.unpack_from("<Q", elf, where + 32)[0]
            if _PHYS32_ENTRY in _xen_notes(elf[offset : offset + length]):
                return True
    return False


def _xen_notes(notes: bytes) -> set[int]:
    """Return the types of the notes that are Xen's."""
    found, where = set(), 0
    while where + 12 <= len(notes):
        name, content, kind = struct.unpack_from("<III", notes, where)
        if notes[where + 12 : where + 12 + name] == b"Xen\0":
            found.add(kind)
        where += 12 + (name + 3) // 4 * 4 + (content + 3) // 4 * 4
    return found


def _payload(image: bytes) -> bytes:
    """Return the packed kernel in a bzImage, without the length that stands behind it; nothing if it is no such image."""
    if len(image) < _PAYLOAD + 8 or image[_MAGIC : _MAGIC + 4] != b"HdrS":
        return b""
    if struct.unpack_from("<H", image, _PROTOCOL)[0] < _PROTOCOL_WITH_PAYLOAD:
        return b""
    offset, length = struct.unpack_from("<II", image, _PAYLOAD)
    begin = (image[_SECTORS] + 1) * 512 + offset
    # gzip's own trailer is that length.
    own_length = image[begin : begin + 2] == b"\x1f\x8b"
    return image[begin : begin + length - (0 if own_length else 4)]


def _unpacked(packed: bytes, unpack: Callable[[bytes], bytes]) -> bytes:
    """Return what *packed* holds."""
    try:
        return unpack(packed)
    except (OSError, EOFError, zlib.error, lzma.LZMAError, subprocess.CalledProcessError) as error:
        msg = f"The kernel in its image cannot be unpacked ({error}); it is damaged, install it anew."
        raise ImageError(msg) from error
