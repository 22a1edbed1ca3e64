# SPDX-License-Identifier: GPL-2.0-or-later
"""
A tree becomes a raw disk with a partition and a boot loader, without mounting anything: no loop device is needed, nor its partitions.

The partition begins at 4 MiB: the boot loader lies before 1 MiB, and the guest's disk canary (256 KiB from 1 MiB on) between the two, so
that the same witness works on a disk that holds a system.
"""

from __future__ import annotations

import secrets
import shutil
import struct
from pathlib import Path

from avocado_hvqual.errors import ImageError
from avocado_hvqual.images.golden.command import Programs
from avocado_hvqual.images.golden.configure import CMDLINE, CRASH_MEMORY, LABEL

SECTOR = 512
PARTITION_START = 4 * 1024 * 1024
GRUB = Path("/usr/lib/grub/i386-pc")
_MODULES = "biosdisk part_msdos ext2 linux normal serial terminal search search_label configfile echo test minicmd boot"
#: Of boot.img and diskboot.img, as grub-install patches them (grub: include/grub/i386/pc/boot.h).
_KERNEL_SECTOR, _DRIVE_CHECK, _BLOCK_LIST, _LOAD_SEGMENT = 0x5C, 0x66, 0x1F4, 0x820
_PARTITION_TABLE = 440


def add_boot_loader(tree: Path, release: str, core: Path, programs: Programs) -> None:
    """Put GRUB's menu and modules into *tree*, and its core, which goes before the partition, into the file *core*."""
    folder = tree / "boot/grub"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "i386-pc").mkdir(parents=True)
    for pattern in ("*.mod", "*.lst"):
        for module in sorted(GRUB.glob(pattern)):
            shutil.copyfile(module, folder / "i386-pc" / module.name)
    (folder / "grub.cfg").write_text(menu(release), encoding="utf-8")
    line = ["grub-mkimage", "-O", "i386-pc", "-p", "(,msdos1)/boot/grub", "-o", str(core), *_MODULES.split()]
    programs.run(line, "make the boot loader's core")


def menu(release: str) -> str:
    """Return GRUB's menu: one kernel, at once, on the serial console."""
    return f"""serial --unit=0 --speed=115200
terminal_input serial
terminal_output serial
set timeout=0
menuentry "golden" {{
    linux /boot/vmlinuz-{release} {CMDLINE} {CRASH_MEMORY}
    initrd /boot/initrd.img-{release}
}}
"""


def create(tree: Path, core: Path, image: Path, size_mib: int, programs: Programs) -> None:
    """Make the raw disk *image* of *tree*: partition, file system, boot loader."""
    image.unlink(missing_ok=True)
    programs.run(["qemu-img", "create", "-q", "-f", "raw", str(image), f"{size_mib}M"], "make the raw disk")
    options = ["-t", "ext4", "-L", LABEL, "-O", "^metadata_csum_seed,^orphan_file", "-d", str(tree)]
    placed = ["-E", f"offset={PARTITION_START},root_owner=0:0,lazy_itable_init=0", str(image)]
    size = f"{size_mib * 1024 - PARTITION_START // 1024}k"
    programs.run(["mke2fs", "-q", *options, *placed, size], "make the file system")
    table = partition_table(size_mib * 1024 * 1024 // SECTOR, secrets.token_bytes(4))
    with image.open("r+b") as disk:
        disk.write(boot_sector((GRUB / "boot.img").read_bytes(), table))
        disk.write(boot_core(core.read_bytes()))


def partition_table(sectors: int, signature: bytes) -> bytes:
    """Return the first sector of a disk of so many *sectors* with one bootable Linux partition up to its end, and no program in it."""
    start = PARTITION_START // SECTOR
    nowhere = b"\xfe\xff\xff"  # cylinder, head and sector, which nobody reads any more
    row = b"\x80" + nowhere + b"\x83" + nowhere + struct.pack("<II", start, sectors - start)
    return b"\0" * _PARTITION_TABLE + signature + b"\0\0" + row + b"\0" * 48 + b"\x55\xaa"


def boot_sector(loader: bytes, table: bytes) -> bytes:
    """Return the first sector: GRUB's *loader*, told that its core follows, and the partition *table*."""
    code = bytearray(loader[:_PARTITION_TABLE])
    code[_KERNEL_SECTOR : _KERNEL_SECTOR + 8] = struct.pack("<Q", 1)
    # A jump that only floppies need.
    code[_DRIVE_CHECK : _DRIVE_CHECK + 2] = b"\x90\x90"
    return bytes(code) + table[_PARTITION_TABLE:SECTOR]


def boot_core(core: bytes) -> bytes:
    """Return GRUB's *core* for the sectors after the first one; `ImageError` when it would reach into the canary's room."""
    whole = bytearray(core + b"\0" * (-len(core) % SECTOR))
    sectors = len(whole) // SECTOR
    if sectors + 1 > 1024 * 1024 // SECTOR:
        msg = f"GRUB's core has {sectors} sectors; the room before 1 MiB is {1024 * 1024 // SECTOR - 1}."
        raise ImageError(msg)
    whole[_BLOCK_LIST : _BLOCK_LIST + 12] = struct.pack("<QHH", 2, sectors - 1, _LOAD_SEGMENT)
    return bytes(whole)


def file_system(image: Path) -> str:
    """Return the name under which e2fsprogs find the file system in *image*."""
    return f"{image}?offset={PARTITION_START}"


def check(image: Path, programs: Programs) -> None:
    """Hold the file system of *image* against itself, changing nothing; `ImageError` when it is not clean."""
    programs.run(["e2fsck", "-f", "-n", file_system(image)], "check the file system")


def copy(source: Path, target: Path, programs: Programs) -> None:
    """Copy a disk: by reference where the file system can, else without its holes."""
    programs.run(["cp", "--reflink=auto", "--sparse=always", str(source), str(target)], "copy the disk")
