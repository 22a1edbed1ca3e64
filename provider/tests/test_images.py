# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest image is what its manifest says, with a disk or without, and whole."""

import json

import pytest
from avocado.core.exceptions import TestError

from provider.hvqual import images

MANIFEST = {
    "name": "golden",
    "kernel": "vmlinuz",
    "initrd": "initrd.img",
    "cmdline": "root=LABEL=hvq-root",
    "prompt": "#",
    "login_user": "root",
    "min_memory_kib": 524288,
    "disk": "golden.raw",
}


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "golden"
    made.mkdir()
    for name in ("vmlinuz", "initrd.img", "golden.raw", "password"):
        (made / name).write_text(name)
    (made / "manifest.json").write_text(json.dumps(MANIFEST))
    return made


def test_an_image_with_a_disk_names_it(folder, tmp_path):
    image = images.load(str(tmp_path), "golden")
    assert (image.disk, image.kernel, image.password) == (folder / "golden.raw", folder / "vmlinuz", "password")


@pytest.mark.parametrize("disk", [{"disk": None}, {}])
def test_an_image_without_one_has_none(folder, tmp_path, disk):
    told = {name: value for name, value in MANIFEST.items() if name != "disk"}
    (folder / "manifest.json").write_text(json.dumps({**told, **disk}))
    assert images.load(str(tmp_path), "golden").disk is None


@pytest.mark.parametrize("name", ["vmlinuz", "initrd.img", "golden.raw", "manifest.json", "password"])
def test_an_image_that_is_not_whole_is_refused_with_the_command_that_builds_it(folder, tmp_path, name):
    (folder / name).unlink()
    with pytest.raises(TestError, match="image build golden"):
        images.load(str(tmp_path), "golden")
