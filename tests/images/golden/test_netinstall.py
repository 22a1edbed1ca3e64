# SPDX-License-Identifier: GPL-2.0-or-later
"""The network installation: what the mirror holds, who can reach it, what the installer is asked, and when it is not believed."""

import urllib.error
import urllib.request
from dataclasses import replace

import pytest

from avocado_hvqual.errors import ImageError
from avocado_hvqual.images.golden import archive, mirror, netinstall, table, trees
from avocado_hvqual.images.golden.command import Programs

ROWS = """\
Package: partman-auto
Priority: optional
Description: one
 more of it

Package: base-installer
Priority: standard

Package: ext4-modules-6.1.0-9-amd64-di
Priority: standard

Package: ext4-modules-6.1.0-8-amd64-di
Priority: standard

Package: rescue-mode
Priority: extra
"""


@pytest.fixture
def order(monkeypatch):
    monkeypatch.setattr(archive, "candidates", lambda _names: {})
    monkeypatch.setattr(netinstall, "accelerator", lambda: "tcg")
    whole = table.load()
    return trees.Order("virt-install", whole.system("debian-12"), whole)


def test_the_installer_gets_its_parts_and_the_modules_of_its_kernel_alone():
    rows = mirror.parse(ROWS)
    assert rows[0] == {"Package": "partman-auto", "Priority": "optional", "Description": "one"}
    assert mirror.installer_parts(rows, "6.1.0-9-amd64") == [
        "partman-auto",
        "base-installer",
        "ext4-modules-6.1.0-9-amd64-di",
    ]


def test_the_mirror_is_served_on_loopback_and_only_while_the_block_lasts(tmp_path):
    (tmp_path / "file").write_text("text")
    with mirror.served(tmp_path) as port:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/file", timeout=5) as answer:
            assert answer.read() == b"text"
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/../../etc/passwd", timeout=5)
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/file", timeout=5)


def test_a_mirror_of_our_own_needs_no_keys_and_no_other_is_trusted(order):
    assert archive.sources(order.system, "http://127.0.0.1:80/x/").startswith(
        "deb [trusted=yes] http://127.0.0.1:80/x/ bookworm main"
    )
    assert "trusted" not in archive.sources(order.system, "http://example/debian")


def test_a_kernel_tells_its_release(tmp_path):
    image = bytearray(0x4000)
    image[0x202:0x206] = b"HdrS"
    image[0x20E:0x210] = (0x3000).to_bytes(2, "little")
    image[0x3200 : 0x3200 + 30] = b"6.1.0-9-amd64 (debian) #1 SMP\0"
    (tmp_path / "linux").write_bytes(image)
    assert netinstall.kernel_of(tmp_path / "linux") == "6.1.0-9-amd64"
    (tmp_path / "linux").write_bytes(b"\0" * 0x4000)
    with pytest.raises(ImageError, match="is no kernel that tells its release"):
        netinstall.kernel_of(tmp_path / "linux")


def test_the_installer_is_asked_nothing_and_given_only_loopback(order, tmp_path):
    text = netinstall.preseed(order, 4711)
    assert "d-i mirror/http/hostname string 10.0.2.2:4711\n" in text
    assert all(line.startswith("d-i ") for line in text.splitlines())
    assert netinstall.preseed(order, 4711) != text, "the password is another one each time"
    line = netinstall.virt_install(order, tmp_path, tmp_path / "d.raw", 4711)
    words = dict(zip(line[1::2], line[2::2]))
    assert "url=http://10.0.2.2:4711/preseed.cfg" in words["--install"]
    assert words["--disk"].startswith(f"path={tmp_path}/d.raw,format=raw,size=2,")
    assert words["--network"] == "user,model=virtio"
    assert words["--name"].startswith("hvq-")
    assert line[-3:] == ["--noautoconsole", "--noreboot", "--transient"]


def test_an_installer_that_left_nothing_is_not_believed(order, tmp_path, monkeypatch):
    disk, work = tmp_path / "d.raw", tmp_path / "work"
    work.mkdir()
    monkeypatch.setattr(netinstall, "virt_install", lambda *_words: ["truncate", "-s", "1G", str(disk)])
    with pytest.raises(ImageError, match="left 0 MiB on its disk, which is no system"):
        netinstall.install(order, work, disk, 1, Programs(tmp_path / "log"))
    assert not (work / "preseed.cfg").exists()


def test_an_installer_that_is_not_known_is_one_sentence(order, tmp_path):
    ubuntu = replace(order, system=order.table.system("ubuntu-24.04"))
    with pytest.raises(ImageError, match=r"not written for Ubuntu 24\.04; it is for debian-12"):
        netinstall.prepare(ubuntu, tmp_path, Programs(tmp_path / "log"))
