# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults of pins and quotas: who only asks is told the truth, and what is taken off is taken off each thread and group."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from avocado_hvqual.errors import HvqualError
from avocado_hvqual.faults import acts_pins, registry_pins, seed


@pytest.mark.parametrize(
    ("words", "done"),
    [
        (("vcpupin", "--domain", "hvq-1", "--vcpu", "0", "--cpulist", "1", "--live"), "Domain did as asked"),
        (("vcpupin", "--domain", "hvq-1", "--live"), "the truth"),
        (("emulatorpin", "hvq-1", "--cpulist", "1"), "the truth"),
    ],
)
def test_a_lie_about_what_is_done_leaves_what_is_asked(tmp_path: Path, words: tuple[str, ...], done: str) -> None:
    for name, text in (("virsh.honest", "#!/bin/sh\necho the truth\n"), ("virsh", seed.LIAR)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    told = {"HVQUAL_LIE": "vcpupin", "HVQUAL_LIE_ASKED": "--cpulist", "HVQUAL_LIE_DELAY": "0"}
    told["HVQUAL_REAL_VIRSH"] = str(tmp_path / "virsh.honest")
    said = subprocess.run(
        [str(tmp_path / "virsh"), "-c", "x", *words], env=told, capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == done


def test_each_fault_that_lies_has_its_word_in_its_environment() -> None:
    fault = next(fault for fault in registry_pins.PINS if fault.asked)
    assert fault.lie
    assert set(registry_pins.PIN_FILTERS) == {case for fault in registry_pins.PINS for case in fault.use_cases}


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the cgroups of a host on which one guest runs, version 1 for CPUs and quotas."""
    monkeypatch.setattr(acts_pins, "PROC", tmp_path / "proc")
    monkeypatch.setattr(acts_pins, "CGROUP", tmp_path / "fs")
    monkeypatch.setattr(acts_pins, "guests", lambda: ["hvq-1"])
    monkeypatch.setattr(acts_pins, "pids_of", lambda _: [7])
    for tid, name in ((7, "emulator"), (8, "vcpu0")):
        task = tmp_path / "proc/7/task" / str(tid)
        task.mkdir(parents=True)
        (task / "cgroup").write_text(f"4:cpuset:/m/{name}\n3:cpu:/m/{name}\n0::/m\n")
        for controller, files in (("cpuset", ("tasks",)), ("cpu", ("cpu.cfs_quota_us",))):
            for folder in (tmp_path / "fs" / controller / "m", tmp_path / "fs" / controller / "m" / name):
                folder.mkdir(parents=True, exist_ok=True)
                for file in files:
                    (folder / file).write_text("-1")
    return tmp_path / "fs"


def test_pins_that_are_ignored_are_those_of_each_thread(node: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moved: list[tuple[int, set[int]]] = []
    monkeypatch.setattr(acts_pins.os, "sched_setaffinity", lambda tid, cpus: moved.append((tid, set(cpus))))
    acts_pins.ignore_pins()
    assert sorted(tid for tid, _ in moved) == [7, 8]
    assert all(cpus == os.sched_getaffinity(0) for _, cpus in moved)
    assert (node / "cpuset/m/tasks").read_text() in {"7", "8"}
    assert (node / "cpuset/m/vcpu0/tasks").read_text() == "-1"


def test_a_quota_that_is_off_is_off_everywhere(node: Path) -> None:
    with pytest.raises(HvqualError, match="none to take off"):
        acts_pins.quota_off()
    (node / "cpu/m/vcpu0/cpu.cfs_quota_us").write_text("40000")
    acts_pins.quota_off()
    assert (node / "cpu/m/vcpu0/cpu.cfs_quota_us").read_text() == "-1"


def test_a_quota_of_version_2_is_taken_off(node: Path) -> None:
    for task in (node.parent / "proc/7/task").iterdir():
        (task / "cgroup").write_text("0::/m/vcpu0\n")
    group = node / "m/vcpu0"
    group.mkdir(parents=True)
    (group / "cpu.max").write_text("40000 100000")
    acts_pins.quota_off()
    assert (group / "cpu.max").read_text() == "max"


def test_another_clock_is_taken(tmp_path: Path) -> None:
    files = {"current_clocksource": "hpet", "available_clocksource": "hpet acpi_pm"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    command = re.sub(r"^cd \S+;", f"cd {tmp_path};", acts_pins.OTHER_CLOCK)
    assert subprocess.run(["sh", "-c", command], check=False).returncode == 0
    assert (tmp_path / "current_clocksource").read_text().strip() == "acpi_pm"
    (tmp_path / "available_clocksource").write_text("acpi_pm")
    assert subprocess.run(["sh", "-c", command], check=False).returncode != 0
