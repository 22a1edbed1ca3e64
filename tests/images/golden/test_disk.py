# SPDX-License-Identifier: GPL-2.0-or-later
"""The disk: where its parts lie, that they do not lie on one another, and that what is on it is seen from outside."""

import shutil
import struct

import pytest

from avocado_hvqual.errors import ImageError
from avocado_hvqual.images.golden import disk, offline
from avocado_hvqual.images.golden.command import Programs
from avocado_hvqual.lab.tools import find

CANARY = (1024 * 1024, 1024 * 1024 + 256 * 1024)
LOADER = bytes(range(256)) * 2


def test_the_partition_leaves_room_for_the_loader_and_the_canary():
    assert CANARY[1] <= disk.PARTITION_START
    table = disk.partition_table(8 * 2048, b"sign")
    assert (len(table), table[440:444], table[510:]) == (512, b"sign", b"\x55\xaa")
    active, kind, (start, sectors) = table[446], table[450], struct.unpack("<II", table[454:462])
    assert (active, kind, start * 512, start + sectors) == (0x80, 0x83, disk.PARTITION_START, 8 * 2048)


def test_the_boot_sector_keeps_the_table_and_tells_where_the_core_is():
    table = disk.partition_table(16 * 2048, b"sign")
    sector = disk.boot_sector(LOADER, table)
    assert (len(sector), sector[440:]) == (512, table[440:])
    assert struct.unpack("<Q", sector[0x5C:0x64]) == (1,)
    assert sector[0x66:0x68] == b"\x90\x90"
    changed = {place for place in range(440) if sector[place] != LOADER[place]}
    assert changed <= {*range(0x5C, 0x64), 0x66, 0x67}


def test_the_core_lists_its_own_sectors():
    core = disk.boot_core(b"c" * 5000)
    assert len(core) == 10 * 512
    assert struct.unpack("<QHH", core[0x1F4:0x200]) == (2, 9, 0x820)


def test_a_core_that_reaches_the_canary_is_refused():
    assert len(disk.boot_core(b"c" * (CANARY[0] - 512))) == CANARY[0] - 512
    with pytest.raises(ImageError, match=r"has 2048 sectors; the room before 1 MiB is 2047"):
        disk.boot_core(b"c" * (CANARY[0] - 511))


def test_the_menu_boots_by_label_on_the_serial_console():
    menu = disk.menu("6.1.0-9-cloud-amd64")
    assert "linux /boot/vmlinuz-6.1.0-9-cloud-amd64 root=LABEL=hvq-root rw console=ttyS0" in menu
    assert "initrd /boot/initrd.img-6.1.0-9-cloud-amd64" in menu
    assert "terminal_output serial" in menu
    # The console begins with the command line; who looks for a panic there must not find the word.
    assert "panic" not in menu


@pytest.fixture
def image(tmp_path):
    """A function that makes a small disk of a tree {path: text}, as a build does but for the boot loader."""
    missing = [name for name in ("mke2fs", "debugfs", "e2fsck", "qemu-img") if find(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed")
    programs = Programs(tmp_path / "log")

    def make(files, monkeypatch):
        tree, grub = tmp_path / "tree", tmp_path / "grub"
        shutil.rmtree(tree, ignore_errors=True)
        for name, text in files.items():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_text(text)
        grub.mkdir(exist_ok=True)
        (grub / "boot.img").write_bytes(LOADER)
        (tmp_path / "core").write_bytes(b"core")
        monkeypatch.setattr(disk, "GRUB", grub)
        disk.create(tree, tmp_path / "core", tmp_path / "disk.raw", 32, programs)
        return tmp_path / "disk.raw", programs

    return make


TEMPLATE = {"etc/passwd": "root", "etc/machine-id": "", "etc/ssh/sshd_config": "", "var/log/journal/.keep": ""}


def test_a_disk_is_made_whole_and_sparse(image, monkeypatch):
    made, programs = image({**TEMPLATE, "boot/big": "x" * 100000}, monkeypatch)
    disk.check(made, programs)
    assert made.stat().st_size == 32 << 20
    assert made.stat().st_blocks * 512 < 16 << 20
    assert offline.size(made, "/boot/big", programs) == 100000
    assert offline.size(made, "/boot/none", programs) == -1
    assert made.read_bytes()[512:516] == b"core"


def test_a_damaged_file_system_is_noticed(image, monkeypatch):
    made, programs = image(TEMPLATE, monkeypatch)
    with made.open("r+b") as stream:
        stream.seek(disk.PARTITION_START + 1024 * 4)
        stream.write(b"\xff" * 4096)
    with pytest.raises(ImageError, match=r"check the file system"):
        disk.check(made, programs)


def test_each_thing_that_makes_a_machine_is_found_on_the_disk(image, monkeypatch):
    whole = {name: text for name, text in TEMPLATE.items() if "journal" not in name}
    made, programs = image(whole, monkeypatch)
    assert offline.left_of_the_machine(made, programs) == []
    seeded = {
        "etc/machine-id": ("0" * 32, "/etc/machine-id has 32 bytes"),
        "etc/ssh/ssh_host_ed25519_key": ("key", "/etc/ssh/ssh_host_ed25519_key is there"),
        "var/log/journal/system": ("log", "/var/log/journal/system is there"),
        "root/.bash_history": ("ls", "/root/.bash_history is there"),
        "root/.ssh/authorized_keys": ("key", "/root/.ssh/authorized_keys is there"),
        "var/crash/dump": ("core", "/var/crash/dump is there"),
    }
    made, programs = image({**whole, **{name: text for name, (text, _) in seeded.items()}}, monkeypatch)
    left = offline.left_of_the_machine(made, programs)
    assert len(left) == len(seeded)
    for _, sentence in seeded.values():
        assert any(line.startswith(sentence) for line in left), sentence


def test_a_disk_that_cannot_be_looked_at_is_not_called_clean(image, monkeypatch):
    made, programs = image({"nothing": ""}, monkeypatch)
    with pytest.raises(ImageError, match="shows no /etc/passwd"):
        offline.left_of_the_machine(made, programs)
