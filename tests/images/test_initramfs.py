# SPDX-License-Identifier: GPL-2.0-or-later
"""The archive is a cpio that others can read, and the same entries give the same bytes."""

import stat
import subprocess

import pytest

from avocado_hvqual.images.initramfs import Archive
from avocado_hvqual.lab.tools import find


def sample(order=1):
    archive = Archive()
    actions = [
        lambda: archive.file("usr/bin/tool", b"#!/bin/sh\n", 0o755),
        lambda: archive.link("bin", "usr/bin"),
        lambda: archive.folder("tmp", 0o1777),
        lambda: archive.character_device("dev/console", 5, 1),
        lambda: archive.file("etc/odd", b"12345"),
    ]
    for action in actions[::order]:
        action()
    return archive


def test_same_entries_give_the_same_bytes_in_any_order():
    assert sample().to_bytes() == sample(-1).to_bytes()
    assert sample().digest() == sample(-1).digest()


def test_one_bit_more_is_another_digest():
    other = sample()
    other.file("etc/odd", b"12346")
    assert other.digest() != sample().digest()


def test_folders_above_are_made():
    assert {"usr", "usr/bin", "dev", "etc"} <= set(sample().entries)
    assert all(stat.S_ISDIR(sample().entries[name].mode) for name in ("usr", "usr/bin", "tmp"))


def test_busybox_lists_and_extracts_it(tmp_path):
    busybox = find("busybox")
    if busybox is None:
        pytest.skip("busybox is not installed")
    archive = sample()
    del archive.entries["dev/console"]
    subprocess.run(
        [busybox, "cpio", "-i", "-d"], input=archive.to_bytes(), cwd=tmp_path, capture_output=True, check=True
    )
    assert (tmp_path / "bin/tool").read_bytes() == b"#!/bin/sh\n"
    assert stat.S_IMODE((tmp_path / "usr/bin/tool").stat().st_mode) == 0o755
    assert (tmp_path / "etc/odd").read_bytes() == b"12345"
    assert stat.S_IMODE((tmp_path / "tmp").stat().st_mode) == 0o1777


def test_tree_makes_scripts_executable_whatever_their_mode(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/script").write_text("#!/bin/sh\n")
    (tmp_path / "sub/script").chmod(0o600)
    (tmp_path / "plain").write_text("text")
    (tmp_path / "plain").chmod(0o777)
    archive = Archive()
    archive.tree(tmp_path)
    assert stat.S_IMODE(archive.entries["sub/script"].mode) == 0o755
    assert stat.S_IMODE(archive.entries["plain"].mode) == 0o644
