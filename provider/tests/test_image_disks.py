# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest of an image with a system gets a copy of it, as large and as sparse; one of an image without gets an empty disk."""

import dataclasses

import pytest
from avocado.core.exceptions import TestError

from provider.hvqual import image_disks
from provider.hvqual.domain_xml import Disk
from provider.hvqual.host_config import Shape

pytestmark = pytest.mark.contract
SHAPE = Shape(1, 131072, (64, 32))


def guest(folder, disk, kind="raw"):
    """Return a guest of an image with *disk*, whose own disk does not exist yet."""
    own = folder / f"hvq-1.{kind}"
    spec = type("Spec", (), {"disks": (Disk(str(own), 1, kind),)})()
    return own, type("Guest", (), {"spec": spec, "image": type("Image", (), {"disk": disk, "name": "golden"})()})()


def test_a_disk_with_a_system_is_copied_with_its_holes(tmp_path):
    system = tmp_path / "golden.raw"
    with system.open("wb") as stream:
        stream.write(b"boot")
        stream.truncate(8 << 20)
    own, one = guest(tmp_path, system)
    image_disks.made(one, None)
    assert own.read_bytes() == system.read_bytes()
    assert own.stat().st_blocks * 512 < 1 << 20
    assert image_disks.sized(SHAPE, one.image) == dataclasses.replace(SHAPE, disks_mib=(8,))


def test_an_image_without_a_disk_leaves_all_as_it_is(tmp_path):
    own, one = guest(tmp_path, None)
    image_disks.made(one, None)
    assert own.read_bytes() == bytes(1 << 20)
    assert image_disks.sized(SHAPE, one.image) is SHAPE


def test_a_file_that_is_there_is_not_written_over(tmp_path):
    system = tmp_path / "golden.raw"
    system.write_bytes(b"boot")
    own, one = guest(tmp_path, system)
    own.write_bytes(b"theirs")
    with pytest.raises(TestError, match="cannot be made"):
        image_disks.made(one, None)
    assert own.read_bytes() == b"theirs"


def test_a_raw_system_is_no_disk_of_another_format(tmp_path):
    system = tmp_path / "golden.raw"
    system.write_bytes(b"boot")
    _own, one = guest(tmp_path, system, "qcow2")
    with pytest.raises(TestError, match="is raw, the guest's is to be qcow2"):
        image_disks.made(one, None)
