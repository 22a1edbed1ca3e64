# SPDX-License-Identifier: GPL-2.0-or-later
"""A QEMU of one's own in a lab: what stands in the distribution's place."""

from __future__ import annotations

import os
import subprocess

from avocado_hvqual.lab import hosts, settings
from avocado_hvqual.lab.paths import LabPaths


def test_qemu_wrapper_hands_every_argument_on(tmp_path):
    program = tmp_path / "it's a qemu"
    program.write_text('#!/bin/sh\nfor a in "$@"; do echo "<$a>"; done\nexit 7\n')
    program.chmod(0o755)
    wrapper = tmp_path / "wrapper"
    wrapper.write_text(settings.qemu_wrapper(str(program)))
    wrapper.chmod(0o755)
    run = subprocess.run([wrapper, "a b", "$HOME", "'"], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (7, "<a b>\n<$HOME>\n<'>\n")


def test_a_custom_qemu_is_as_old_in_a_lab_as_its_file_is_there(tmp_path):
    """By its age save files of warm guests are told apart: good in the next lab with the same QEMU, and in none with another one."""
    program, wrapper = tmp_path / "qemu-of-mine", LabPaths(tmp_path).host("hv-a") / "qemu"
    program.write_text("#!/bin/sh\n")
    ages = []
    for _lab in range(2):
        hosts.place_qemu("hv-a", LabPaths(tmp_path), str(program))
        ages.append(wrapper.stat().st_mtime_ns)
    assert ages == [program.stat().st_ctime_ns] * 2
    hosts.place_qemu("hv-a", LabPaths(tmp_path), None)
    assert not wrapper.exists()


def test_another_build_in_its_place_is_told_apart_by_whatever_date_its_package_gave_it(tmp_path):
    program, here = tmp_path / "qemu-of-mine", LabPaths(tmp_path).host("hv-a")
    ages, cached = [], []
    for build in ("one", "two"):
        new = tmp_path / build
        new.write_text(f"#!/bin/sh\necho {build}\n")
        os.utime(new, ns=(1_700_000_000_123_456_789,) * 2)
        new.replace(program)
        hosts.place_qemu("hv-a", LabPaths(tmp_path), str(program))
        ages.append((here / "qemu").stat().st_mtime_ns)
        cached.append((here / "var-cache-libvirt").exists())
        (here / "var-cache-libvirt").mkdir()
    assert len(set(ages)) == 2
    assert cached == [False, False]
