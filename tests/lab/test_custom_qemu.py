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


def test_a_custom_qemu_is_as_old_in_a_lab_as_it_is(tmp_path):
    """By its age save files of warm guests are told apart: good in the next lab with the same QEMU, and in none with another one."""
    program = tmp_path / "qemu-of-mine"
    program.write_text("#!/bin/sh\n")
    ages = []
    for age in (1_700_000_000_123_456_789, 1_700_000_000_123_456_789, 1_800_000_000_000_000_000):
        os.utime(program, ns=(age, age))
        hosts.place_qemu("hv-a", LabPaths(tmp_path), str(program))
        ages.append((LabPaths(tmp_path).host("hv-a") / "qemu").stat().st_mtime_ns - age)
    assert ages == [0, 0, 0]
    hosts.place_qemu("hv-a", LabPaths(tmp_path), None)
    assert not (LabPaths(tmp_path).host("hv-a") / "qemu").exists()
