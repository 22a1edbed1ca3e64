# SPDX-License-Identifier: GPL-2.0-or-later
"""Spoiled files: the real ones are not touched, and what the command sees in their place differs in what the fault says."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from avocado_hvqual.errors import HvqualError
from avocado_hvqual.faults import registry_prep, seed, spoilers
from avocado_hvqual.lab.tools import find
from tests.images.golden.test_check import proof


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a state home with a golden image's files and own builds."""
    monkeypatch.setenv("AVOCADO_HVQUAL_HOME", str(tmp_path / "home"))
    golden = tmp_path / "home/images/golden"
    golden.mkdir(parents=True)
    (golden / "proof.json").write_text(json.dumps(proof()))
    (golden / "packages.json").write_text(json.dumps({"fio": "3.33"}))
    for name in ("qemu", "kernel"):
        main = tmp_path / f"home/builds/{name}/tree/opt/{name}"
        main.parent.mkdir(parents=True)
        main.write_bytes(bytes(4096))
        main.chmod(0o755)
        (main.parents[2] / "record.json").write_text(json.dumps({"main": f"/opt/{name}"}))
    return tmp_path / "home"


@pytest.mark.parametrize("name", ["proof-of-another", "package-too-many", "patched-qemu", "patched-kernel"])
def test_a_spoiled_file_is_a_copy_that_differs(home: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "fault"
    folder.mkdir()
    ((copy, real),) = spoilers.SPOILERS[name](folder)
    before = real.read_bytes()
    assert copy.parent == folder
    assert real.is_relative_to(home)
    assert copy.read_bytes() != before
    assert copy.stat().st_mode == real.stat().st_mode
    if copy.suffix == ".json":
        json.loads(copy.read_text())


@pytest.mark.parametrize("name", spoilers.SPOILERS)
def test_what_is_not_there_cannot_be_spoiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("AVOCADO_HVQUAL_HOME", str(tmp_path))
    with pytest.raises(HvqualError, match=r"make it with "):
        spoilers.SPOILERS[name](tmp_path)


@pytest.mark.parametrize(
    ("name", "inside", "size"),
    [("template-machine-id", "/etc/machine-id", 33), ("template-host-key", "/etc/ssh/ssh_host_ed25519_key.pub", 34)],
)
def test_a_template_keeps_what_it_must_not(home: Path, tmp_path: Path, monkeypatch, name, inside, size) -> None:
    from avocado_hvqual.images.golden import disk, offline
    from avocado_hvqual.images.golden.command import Programs

    if find("mke2fs") is None or find("debugfs") is None:
        pytest.skip("e2fsprogs not installed")
    programs = Programs(tmp_path / "log")
    tree, grub = tmp_path / "tree", tmp_path / "grub"
    for text in ("etc/passwd", "etc/machine-id", "etc/ssh/sshd_config"):
        (tree / text).parent.mkdir(parents=True, exist_ok=True)
        (tree / text).write_text("")
    grub.mkdir()
    (grub / "boot.img").write_bytes(bytes(512))
    (tmp_path / "core").write_bytes(b"core")
    monkeypatch.setattr(disk, "GRUB", grub)
    real = home / "images/golden/golden.raw"
    disk.create(tree, tmp_path / "core", real, 16, programs)
    folder = tmp_path / "fault"
    folder.mkdir()
    ((copy, covered),) = spoilers.SPOILERS[name](folder)
    assert covered == real
    assert offline.left_of_the_machine(real, programs) == []
    assert len(offline.left_of_the_machine(copy, programs)) == 1
    assert offline.size(copy, inside, programs) == size


def test_the_command_is_run_where_the_copies_cover_the_files(home: Path, tmp_path: Path) -> None:
    fault = replace(next(one for one in registry_prep.PREPARATION if one.spoils == "patched-qemu"), lie="", act="")
    folder, programs = tmp_path / "fault", tmp_path / "bin"
    folder.mkdir()
    programs.mkdir()
    # unshare needs privileges, and so does mount: both say what they are asked.
    (programs / "unshare").write_text('#!/bin/sh\n[ "$*" ] && shift 3 && exec "$@"\n')
    (programs / "mount").write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/mounted\n')
    for program in programs.iterdir():
        program.chmod(0o755)
    command, environment = seed.wrapped(fault, ["echo", "--", "done"], folder)
    environment["PATH"] = f"{programs}:{os.environ['PATH']}"
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "-- done\n"
    covered = home / "builds/qemu/tree/opt/qemu"
    assert (tmp_path / "mounted").read_text() == f"--bind {folder}/patched {covered}\n"


def test_a_fault_without_files_changes_no_command(tmp_path: Path) -> None:
    fault = next(one for one in registry_prep.PREPARATION if one.act)
    assert seed.wrapped(fault, ["true"], tmp_path)[0] == ["true"]


def test_each_prepared_case_has_its_filter_and_two_faults() -> None:
    named = {case for fault in registry_prep.PREPARATION for case in fault.use_cases}
    assert set(registry_prep.PREP_FILTERS) == named
