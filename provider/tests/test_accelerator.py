# SPDX-License-Identifier: GPL-2.0-or-later
"""The probe says yes only to a guest that worked."""

import json
import shutil
import stat
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from provider.hvqual import accelerator
from provider.hvqual.accelerator import Answer, Probe

QEMU = shutil.which("qemu-system-x86_64")
needs_qemu = pytest.mark.skipif(QEMU is None, reason="qemu-system-x86_64 is not installed")


def slow_result(seed, rounds):
    for _ in range(rounds):
        seed = (seed * 1664525 + 1013904223) & 0xFFFFFFFF
    return seed


@pytest.mark.parametrize("seed", [0, 1, 0xDEADBEEF, 0xFFFFFFFF])
@pytest.mark.parametrize("rounds", [0, 1, 2, 3, 1000, 4097])
def test_expected_result_is_the_loops(seed, rounds):
    assert accelerator.expected_result(seed, rounds) == slow_result(seed, rounds)


def test_firmware_is_64_kib_and_starts_at_the_reset_vector():
    rom = accelerator.firmware(7)
    assert len(rom) == 0x10000
    assert rom[0xFFF0] == 0xE9
    assert (0xFFF3 + struct.unpack("<H", rom[0xFFF1:0xFFF3])[0]) & 0xFFFF == 0


def test_answer_needs_both_channels():
    right = struct.pack("<I", 5)
    assert accelerator.judge("kvm", 85, right, 5).ok
    assert not accelerator.judge("kvm", 0, right, 5).ok
    assert not accelerator.judge("kvm", 85, b"", 5).ok
    assert not accelerator.judge("kvm", 85, right + b"\0", 5).ok
    refused = accelerator.judge("kvm", 1, b"", 5, b"warning: x\nCould not access KVM kernel module\n")
    assert refused.reason.endswith("QEMU says: Could not access KVM kernel module")


def test_fastest_that_works_is_chosen():
    yes, no = Answer(ok=True, reason=""), Answer(ok=False, reason="")
    chosen = [Probe("q", "", kvm, tcg).accelerator for kvm, tcg in ((yes, yes), (yes, no), (no, yes), (no, no))]
    assert chosen == ["kvm", "kvm", "tcg", "none"]


@needs_qemu
def test_tcg_runs_a_guest():
    found = accelerator.probe()
    assert found.tcg.ok, found.tcg.reason
    assert found.accelerator in ("kvm", "tcg")
    assert found.version


@needs_qemu
def test_dev_kvm_is_not_what_decides():
    """Whatever the device file says, the answer for KVM is a guest's: without one in time there is none."""
    assert not accelerator.probe(time_limit=0.001).kvm.ok


@needs_qemu
def test_script_writes_json():
    line = [sys.executable, "-I", "-S", accelerator.__file__, "--qemu", QEMU]
    run = subprocess.run(line, capture_output=True, text=True, check=False)
    told = json.loads(run.stdout)
    assert run.returncode == 0
    assert told["accelerator"] in ("kvm", "tcg")
    assert set(told) == {"accelerator", "qemu", "version", "kvm", "tcg"}
    assert told["qemu"] == QEMU


def fake_qemu(folder: Path, text: str) -> str:
    program = folder / "qemu"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return str(program)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("exit 0", "ended with status 0"),
        ("exit 85", "reported nothing"),
        ("printf abcd; exit 85", "reported 61626364"),
        ("echo broken >&2; exit 1", "QEMU says: broken"),
        ("kill -9 $$", "ended with status -9"),
    ],
)
def test_qemu_that_runs_no_guest_is_no_accelerator(tmp_path, text, reason):
    found = accelerator.probe(fake_qemu(tmp_path, text))
    assert found.accelerator == "none"
    assert reason in found.kvm.reason
    assert reason in found.tcg.reason


def test_qemu_that_hangs_is_ended_in_time(tmp_path):
    began = time.monotonic()
    found = accelerator.probe(fake_qemu(tmp_path, '[ "$1" = --version ] || exec sleep 77'), time_limit=0.3)
    assert time.monotonic() - began < 5
    assert "did not end within 0.3 s" in found.tcg.reason
    assert (
        "sleep 77"
        not in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout.splitlines()
    )


def test_qemu_that_is_not_there(tmp_path):
    found = accelerator.probe(str(tmp_path / "none"))
    assert found.accelerator == "none"
    assert "is not an executable file" in found.tcg.reason
    unreadable = tmp_path / "text"
    unreadable.write_text("no program")
    unreadable.chmod(0o755)
    assert "could not be started" in accelerator.probe(str(unreadable)).tcg.reason
