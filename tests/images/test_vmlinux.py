# SPDX-License-Identifier: GPL-2.0-or-later
"""What is found in a kernel's image, however it is packed, and what is not."""

import gzip
import lzma
import struct
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avocado_hvqual.errors import ImageError
from avocado_hvqual.images import vmlinux

SETUP_SECTORS = 3


def note(kind, name=b"Xen\0", content=b"12345678"):
    return struct.pack("<III", len(name), len(content), kind) + name.ljust(-(-len(name) // 4) * 4, b"\0") + content


def elf(notes, kind=4, body=b"kernel" * 500):
    where = 64 + 2 * 56
    head = b"\x7fELF\x02\x01\x01".ljust(32, b"\0") + struct.pack("<QQIHHHHHH", 64, 0, 0, 64, 56, 2, 0, 0, 0)
    segments = [(1, where + len(notes), len(body)), (kind, where, len(notes))]
    table = b"".join(struct.pack("<IIQQQQQQ", kind, 0, at, 0, 0, size, size, 4) for kind, at, size in segments)
    return head + table + notes + body


PVH = elf(note(6, content=b"abc\0") + note(18))


def lz4(data):
    return subprocess.run(["lz4", "-lcq"], input=data, capture_output=True, check=True).stdout


def zstd(data):
    return subprocess.run(["zstd", "-cq"], input=data, capture_output=True, check=True).stdout


def bzimage(packed, protocol=0x020F, length=None):
    head = bytearray((SETUP_SECTORS + 1) * 512)
    head[0x1F1] = SETUP_SECTORS
    head[0x202:0x206] = b"HdrS"
    payload = packed + (b"" if packed[:2] == b"\x1f\x8b" else struct.pack("<I", len(PVH)))
    struct.pack_into("<H", head, 0x206, protocol)
    struct.pack_into("<II", head, 0x248, 16, len(payload) if length is None else length)
    return bytes(head) + b"\x90" * 16 + payload + b"what stands behind it"


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, lz4, zstd])
def test_kernel_is_unpacked(pack):
    assert vmlinux.from_bzimage(bzimage(pack(PVH))) == PVH


@pytest.mark.parametrize(
    "held",
    [
        elf(note(1)),
        elf(note(18, name=b"Lin\0")),
        elf(note(18), kind=1),
        elf(b""),
        PVH.replace(b"\x7fELF\x02", b"\x7fELF\x01", 1),
        b"no ELF file at all",
    ],
)
def test_kernel_without_the_entry_is_started_from_its_image(held):
    assert vmlinux.from_bzimage(bzimage(gzip.compress(held))) is None


@pytest.mark.parametrize(
    "image", [b"", b"short", bzimage(b"BZh91AY&SY"), bzimage(gzip.compress(PVH), protocol=0x207), bytes(4096)]
)
def test_image_that_says_nothing_of_a_payload_known_here(image):
    assert vmlinux.from_bzimage(image) is None


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, lz4, zstd])
def test_damaged_payload_is_said(pack):
    packed = pack(PVH)
    with pytest.raises(ImageError, match=r"cannot be unpacked .* install it anew"):
        vmlinux.from_bzimage(bzimage(packed[:20] + b"\xff" * 40))


@given(st.binary(max_size=400))
def test_no_bytes_are_too_strange_for_the_notes(data):
    assert vmlinux.has_pvh_entry(data) in (True, False)
    assert vmlinux.has_pvh_entry(PVH[:60] + data) in (True, False)


@given(st.integers(0, len(PVH)), st.binary(max_size=8))
def test_no_damage_of_an_elf_file_is_too_much(place, bytes_there):
    assert vmlinux.has_pvh_entry(PVH[:place] + bytes_there + PVH[place + len(bytes_there) :]) in (True, False)
