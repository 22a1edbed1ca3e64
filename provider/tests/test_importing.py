# SPDX-License-Identifier: GPL-2.0-or-later
"""An image's digest tells every change of its data; the words of virt-install describe the guest that the XML describes."""

from __future__ import annotations

import os
from dataclasses import replace
from types import SimpleNamespace

import pytest
from avocado.core.exceptions import TestCancel, TestError

from provider.hvqual import virt_install
from provider.hvqual.domain_xml import Disk, Place, Spec
from provider.hvqual.operations import importing
from provider.hvqual.record import Record

MIB = 1024 * 1024
SPEC = Spec(
    "hvq-1",
    "u-u-i-d",
    2,
    192 * 1024,
    ("52:54:00:00:00:01", "52:54:00:00:00:02"),
    (Disk("/i/hvq-1.raw", 32), Disk("/i/hvq-1b.raw", 16)),
)
PLACE = Place("tcg", "/usr/bin/qemu", "default", "/log/console", "/run/hvq.sock", 5610, "token")
IMAGE = SimpleNamespace(kernel="/k", initrd="/i", cmdline="console=ttyS0,115200")


@pytest.fixture
def image(tmp_path):
    """A sparse file with something in its middle."""
    path = tmp_path / "image"
    with path.open("wb") as file:
        os.truncate(file.fileno(), 8 * MIB)
        os.pwrite(file.fileno(), b"known", 4 * MIB)
    return path


@pytest.mark.parametrize("place", [0, 4 * MIB, 8 * MIB - 1])
def test_one_byte_anywhere_changes_the_digest(image, place):
    before = importing.content(image)
    assert importing.content(image) == before
    with image.open("r+b") as file:
        os.pwrite(file.fileno(), b"!", place)
    assert importing.content(image) != before


def test_the_same_data_at_another_place_is_another_image(tmp_path):
    digests = set()
    for place in (0, MIB):
        path = tmp_path / f"at-{place}"
        with path.open("wb") as file:
            os.truncate(file.fileno(), 4 * MIB)
            os.pwrite(file.fileno(), b"known", place)
        digests.add(importing.content(path))
    assert len(digests) == 2


def test_one_guest_takes_every_way_and_several_take_turns():
    assert importing.turns(["a"], ["x", "y"]) == [{"a": "x"}, {"a": "y"}]
    assert importing.turns(["a", "b", "c"], ["x", "y"]) == [{"a": "x", "b": "y", "c": "x"}]
    assert importing.turns(["a", "b"], ["x"]) == [{"a": "x", "b": "x"}]


def test_ways_are_known_and_probed(tmp_path, monkeypatch):
    record = Record(tmp_path)
    with pytest.raises(TestError, match="'by_hand' is no way to import"):
        importing.methods(["by_hand"], record)
    with pytest.raises(TestError, match="'nothing'"):
        importing.methods([], record)
    monkeypatch.setattr(importing.shutil, "which", lambda _name: None)
    assert importing.methods(["define_xml", "virt_install"], record) == ("define_xml",)
    with pytest.raises(TestCancel):
        importing.methods(["virt_install"], record)


def _options(spec=SPEC, place=PLACE):
    words = virt_install.arguments(spec, IMAGE, place)
    return [(name, value) for name, value in zip(words, words[1:]) if name.startswith("--")]


def test_the_words_say_the_whole_model():
    options = _options()
    assert dict(options)["--memory"] == "192"
    assert dict(options)["--uuid"] == "u-u-i-d"
    assert [value.split(",")[0] for name, value in options if name == "--disk"] == [
        "path=/i/hvq-1.raw",
        "path=/i/hvq-1b.raw",
    ]
    assert [value.rsplit("mac=", 1)[1] for name, value in options if name == "--network"] == list(SPEC.macs)
    assert 'kernel_args="console=ttyS0,115200 ' in dict(options)["--boot"]
    assert "hv.vm=hvq-1" in dict(options)["--boot"]
    assert not {"--iothreads", "--cputune", "--memorybacking"} & {name for name, _ in options}


def test_iothreads_pins_and_huge_pages_are_said_where_the_guest_has_them():
    options = dict(
        _options(replace(SPEC, iothreads=2, pins=(1, 0), hugepage_kib=2048), replace(PLACE, accelerator="kvm"))
    )
    assert options["--iothreads"] == "2"
    assert options["--cputune"] == "vcpupin0.vcpu=0,vcpupin0.cpuset=1,vcpupin1.vcpu=1,vcpupin1.cpuset=0"
    assert "page0.size=2048" in options["--memorybacking"]
    assert (options["--virt-type"], options["--cpu"]) == ("kvm", "host-model")
