# SPDX-License-Identifier: GPL-2.0-or-later
"""The small programs that ask the kernel, images and libvirt-python, run for real."""

import json
import struct
import subprocess
import sys

import pytest

from avocado_hvqual.preparation import answers, expectations
from avocado_hvqual.preparation.node import ThisNode
from avocado_hvqual.preparation.programs import boot_image, build_id

NODE = ThisNode(expectations.load())


def said(program, *arguments):
    return json.loads(NODE.ask(program, *arguments).stdout)


def test_build_ids_are_those_that_file_tells():
    told = subprocess.run(["file", "-Lb", sys.executable], capture_output=True, text=True, check=True).stdout
    if "BuildID[sha1]=" not in told:
        pytest.skip("this Python has no build id")
    assert answers.build_id(NODE, sys.executable) == (told.split("BuildID[sha1]=")[1].split(",")[0].strip(), "")


def test_what_has_no_build_id_says_why(tmp_path):
    (tmp_path / "script").write_text("#!/bin/sh\n")
    (tmp_path / "torn").write_bytes(b"\x7fELF\x02\x01" + b"\xff" * 90)
    answer = build_id.answer([str(tmp_path / "script"), str(tmp_path / "torn"), str(tmp_path / "nothing")])
    assert [set(one) for one in answer.values()] == [{"error"}] * 3
    assert answers.build_id(NODE, str(tmp_path / "script")) == ("", "it is no ELF file, perhaps a script")


def image(text, *, signature=0):
    blob = bytearray(0x4000)
    blob[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", blob, 0x20E, 0x3000 - 0x200)
    blob[0x3000 : 0x3000 + len(text)] = text
    struct.pack_into("<I", blob, 0x3C, 0x80)
    blob[0x80:0x84] = b"PE\0\0"
    struct.pack_into("<H", blob, 0x80 + 24, 0x20B)
    struct.pack_into("<II", blob, 0x80 + 24 + 112 + 32, 0x3800 if signature else 0, signature)
    return bytes(blob)


def test_a_boot_image_says_what_it_is(tmp_path):
    path = tmp_path / "vmlinuz"
    path.write_bytes(image(b"6.1.0-9-amd64 (me@there (x)) #1 SMP Debian 6.1.1-1 (2024-01-01)"))
    expected = {"release": "6.1.0-9-amd64", "version": "#1 SMP Debian 6.1.1-1 (2024-01-01)", "signed": False}
    assert said("boot_image", str(path)) == expected
    path.write_bytes(image(b"6.1.0-9-amd64 (me@there) #7 SMP", signature=1500))
    assert boot_image.answer(str(path)) == {"release": "6.1.0-9-amd64", "version": "#7 SMP", "signed": True}


@pytest.mark.parametrize("content", [b"", b"HdrS", image(b""), image(b"\xff\xff"), b"\x7fELF" * 400])
def test_what_is_no_boot_image_says_so(tmp_path, content):
    (tmp_path / "vmlinuz").write_bytes(content)
    assert set(boot_image.answer(str(tmp_path / "vmlinuz"))) == {"error"}


def test_the_clock_answers():
    answer = said("clock")
    assert isinstance(answer["synchronized"], bool)
    assert 0 < answer["most_error_s"] < 100


def test_kvm_answers_or_says_why():
    answer = said("kvm_api")
    assert answer == {"api": 12} or set(answer) == {"error"}


def test_a_libvirt_that_is_not_there_is_no_empty_list():
    assert set(said("libvirt_domains", "test+unix:///default?socket=/nowhere")) == {"error"}
    assert said("libvirt_domains", "test:///default")["domains"] == {"test": True}
