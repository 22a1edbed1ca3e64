# SPDX-License-Identifier: GPL-2.0-or-later
"""From a source to a package, over a source that is small and a compiler that is real; and what GRUB and make are told."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from avocado_hvqual.builds import __main__ as command
from avocado_hvqual.builds import guest_boot, install, kernel, qemu, record
from avocado_hvqual.builds.bench import Order
from avocado_hvqual.builds.source import Wanted
from avocado_hvqual.errors import BuildError
from avocado_hvqual.lab.tools import find

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
PROGRAM = '#include <stdio.h>\nint main(void) { puts("QEMU emulator version 7.2.99 (small)"); return 0; }\n'
NINJA = """\
rule cc
  command = gcc -Wl,--build-id -o $out $in
rule put
  command = mkdir -p $$DESTDIR{prefix}/bin && cp $in $$DESTDIR{prefix}/bin/qemu-system-x86_64
build prog: cc ../prog.c
build install: put prog
default prog
"""
MENU = """\
menuentry 'Debian' --class os $menuentry_id_option 'gnulinux-simple-1' {
	linux	/boot/vmlinuz-6.1 root=/dev/vda1
}
submenu 'Advanced options' $menuentry_id_option 'gnulinux-advanced-1' {
	menuentry 'Debian, with Linux 6.1.170-hvq (recovery mode)' $menuentry_id_option 'gnulinux-6.1.170-hvq-recovery-1' {
		linux	/boot/vmlinuz-6.1.170-hvq root=/dev/vda1 single
	}
	menuentry 'Debian, with Linux 6.1.170-hvq' $menuentry_id_option 'gnulinux-6.1.170-hvq-advanced-1' {
		linux	/boot/vmlinuz-6.1.170-hvq root=/dev/vda1
	}
}
"""


@pytest.fixture
def order(tmp_path, monkeypatch):
    """An order for a QEMU whose whole source is one file."""
    needed = {"gcc": "gcc", "ninja": "ninja-build", "readelf": "binutils", "dpkg-deb": "dpkg"}
    missing = [name for name in needed if find(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed")
    monkeypatch.setattr(qemu, "PROGRAMS", needed)
    source = tmp_path / "qemu-small"
    (source / qemu._DEVICE_FILE).parent.mkdir(parents=True)
    (source / "prog.c").write_text(PROGRAM)
    (source / "build.ninja.in").write_text(NINJA.replace("{prefix}", qemu.PREFIX))
    (source / "configure").write_text('#!/bin/sh\necho "$@" >../words\nexec cp ../build.ninja.in build.ninja\n')
    (source / "configure").chmod(0o755)
    subprocess.run(["tar", "-C", str(tmp_path), "-cf", str(tmp_path / "s.tar"), "qemu-small"], check=True)
    return Order(tmp_path / "home", Wanted("tarball", str(tmp_path / "s.tar")))


def test_a_source_becomes_a_package_with_a_record(order):
    told = []
    made = qemu.build(Order(order.home, order.wanted, tell=told.append))
    folder = order.home / "builds/qemu"
    assert [line.partition(":")[0] for line in told] == ["source", "configured", "compiled", "installed", "packed"]
    assert (made.version, made.main) == ("7.2.99", f"{qemu.PREFIX}/bin/qemu-system-x86_64")
    assert re.fullmatch("[0-9a-f]{40}", made.build_id)
    assert record.changed(made, folder / "tree") == []
    assert (folder / made.package.file).is_file()
    assert made.source["sha256"] == record.digest(Path(order.wanted.place))
    assert (folder / "source/words").read_text().split() == list(qemu.SMALLEST) == list(made.configure)
    assert set(made.seconds) == {"source", "configured", "compiled", "installed", "packed"}
    assert "CONFIG_VIRTIO_BLK=y" in (folder / "source" / qemu._DEVICE_FILE).read_text()


def test_a_build_that_broke_off_goes_on_and_another_source_starts_anew(order):
    assert qemu.build(Order(order.home, order.wanted, until="compiled")) is None
    told = []
    qemu.build(Order(order.home, order.wanted, tell=told.append))
    assert [line.split(" (")[0] for line in told[:3]] == [
        f"{name}: done before" for name in ("source", "configured", "compiled")
    ]
    told.clear()
    qemu.build(Order(order.home, order.wanted, tell=told.append), ("--prefix=/x",))
    assert not any("done before" in line for line in told)


def test_a_compiler_that_fails_is_one_sentence_and_leaves_no_record(order, tmp_path):
    (tmp_path / "qemu-small/prog.c").write_text("int main(void) { return nonsense; }\n")
    subprocess.run(["tar", "-C", str(tmp_path), "-cf", str(tmp_path / "s.tar"), "qemu-small"], check=True)
    with pytest.raises(BuildError, match=r"\(to compile QEMU\) ended with status 1"):
        qemu.build(order)
    assert not (order.home / "builds/qemu/record.json").exists()


def test_options_that_make_drops_are_found():
    wanted = kernel.wanted_options('# CONFIG_A is not set\nCONFIG_B=y\nCONFIG_C=m\nCONFIG_D=n\nCONFIG_E="text"\n')
    assert wanted == ["CONFIG_B=y", "CONFIG_C=m", 'CONFIG_E="text"']
    assert kernel.dropped(wanted, "CONFIG_B=y\n# CONFIG_C is not set\n") == ["CONFIG_C=m", 'CONFIG_E="text"']


def test_the_smallest_kernel_has_what_hotplug_and_the_guests_need():
    wanted = kernel.wanted_options(kernel.FRAGMENT.read_text())
    assert len(wanted) == len(set(wanted))
    owed = "HOTPLUG_CPU ACPI_HOTPLUG_CPU HOTPLUG_PCI HOTPLUG_PCI_ACPI MEMORY_HOTPLUG VIRTIO_BLK VIRTIO_NET SERIAL_8250_CONSOLE".split()  # noqa: SIM905
    assert {f"CONFIG_{name}=y" for name in owed} <= set(wanted)


def test_grub_is_told_the_entry_of_the_kernel_not_its_recovery():
    assert install.entry_of(MENU, "/boot/vmlinuz-6.1.170-hvq") == "gnulinux-advanced-1>gnulinux-6.1.170-hvq-advanced-1"
    assert install.entry_of(MENU, "/boot/vmlinuz-6.1") == "gnulinux-simple-1"
    with pytest.raises(BuildError, match=r"has no entry for /boot/vmlinuz-9; run 'update-grub'"):
        install.entry_of(MENU, "/boot/vmlinuz-9")


def test_a_package_that_is_not_the_records_is_not_installed(order):
    if os.geteuid() != 0:
        pytest.skip("not root")
    made = qemu.build(order)
    folder = order.home / "builds/qemu"
    (folder / made.package.file).write_bytes(b"another")
    with pytest.raises(BuildError, match="holds no package that is the record's"):
        install.package(folder, made)


def test_the_program_that_ran_is_told_apart_from_another(tmp_path):
    (tmp_path / "a").touch()
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert guest_boot.same_program(str(tmp_path / "a"), tmp_path / "b")
    assert not guest_boot.same_program(str(tmp_path / "a (deleted)"), tmp_path / "b")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["kernel", "--tarball", "/none.tar", "--reboot"], "--reboot starts what --install installed; give both."),
        (["qemu", "--tarball", "/none.tar", "--jobs", "0"], "--jobs is 0; at least 1 compiler is needed."),
    ],
)
def test_wrong_words_are_one_sentence_and_status_2(words, sentence, capsys):
    assert command.main(words) == 2
    assert capsys.readouterr().err == f"{sentence}\n"


def test_status_tells_of_builds_that_are_no_longer_what_was_built(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(record, "INSTALLED", tmp_path)
    monkeypatch.setattr(record.installed, "__defaults__", (tmp_path,))
    assert install.status() == 0
    assert "No build of ours is installed" in capsys.readouterr().out
    source = {"kind": "git", "place": "/s", "ref": "r", "sha256": "a" * 40}
    record.write(record.Record("qemu", "7", source, (), "gcc", "", "/none", {"/none": "0" * 64}), tmp_path / "q.json")
    assert install.status() == 1
    assert "1 files are not what was built, the first is /none" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["build-qemu", "build-kernel"])
def test_the_scripts_are_sound(name):
    subprocess.run(["bash", "-n", str(SCRIPTS / name)], check=True)
    assert os.access(SCRIPTS / name, os.X_OK)
