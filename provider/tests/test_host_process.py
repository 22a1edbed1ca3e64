# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest's process is found by its name option alone, with the CPUs and the memory that it was given."""

import subprocess
import sys

import pytest

from provider.hvqual import host_process
from provider.hvqual.host_process import Emulator

SLEEPER = "import sys; sys.stdin.read()"


@pytest.fixture
def sleeper():
    """Start a process with QEMU's options behind its own, ended with the test."""
    started = []

    def start(*options):
        process = subprocess.Popen([sys.executable, "-c", SLEEPER, *options], stdin=subprocess.PIPE)
        started.append(process)
        return process

    yield start
    for process in started:
        process.stdin.close()
        process.wait(10)


def test_found_by_name_only(sleeper):
    """Neither a longer name nor the name in another option is the guest."""
    right = sleeper("-name", "guest=hvq-test-1,debug-threads=on", "-smp", "2,sockets=2", "-m", "size=524288k")
    sleeper("-name", "guest=hvq-test-11,debug-threads=on")
    sleeper("-serial", "hvq-test-1")
    (found,) = host_process.emulators("hvq-test-1")
    assert (found.pid, found.vcpus, found.memory_mib) == (right.pid, 2, 512)
    assert host_process.emulators("hvq-test-2") == []


@pytest.mark.parametrize(
    ("given", "mib"), [("512", 512), ("size=524288k", 512), ("2G", 2048), ("size=1024M,slots=2", 1024), ("", 0)]
)
def test_memory_in_any_unit(given, mib):
    """QEMU's -m is read in each unit that libvirt and avocado-vt write."""
    assert Emulator(1, ("qemu", "-m", given), "").memory_mib == mib
