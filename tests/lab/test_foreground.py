# SPDX-License-Identifier: GPL-2.0-or-later
"""A command in a host that is attended: its status, its signals, and the host's power failure meanwhile."""

import os
import signal
import subprocess
import sys

import pytest
from micro_guest import in_host

from avocado_hvqual import lab, wait
from avocado_hvqual.lab.paths import LabPaths

pytestmark = pytest.mark.lab
ATTEND = "import sys; from avocado_hvqual import lab; sys.exit(lab.attend('hv-a', sys.argv[1:]))"
COUNTING = """
import signal, sys, time
from pathlib import Path
told = Path(sys.argv[1])
def note(number, _frame):
    with told.open("a") as file:
        file.write(f"{number}\\n")
for number in (1, 2, 15):
    signal.signal(number, note)
told.write_text("ready\\n")
while "15" not in told.read_text().split():
    time.sleep(0.02)
sys.exit(7)
"""


def attended(*command):
    return subprocess.Popen([sys.executable, "-c", ATTEND, *command], stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(
    ("script", "status"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill -15 $$", 143)]
)
def test_the_status_is_the_commands(lab_up, script, status):
    with attended("sh", "-c", script) as run:
        _, said = run.communicate(timeout=30)
    assert run.returncode == status, said


def test_each_signal_reaches_the_command_once_and_its_end_is_waited_for(lab_up, lab_home):
    told = LabPaths(lab_home).shared / "told"
    with attended(sys.executable, "-c", COUNTING, str(told)) as run:
        wait.until(told.exists, 20, "the command to be ready")
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
            run.send_signal(number)
            wait.until(lambda number=number: f"\n{int(number)}\n" in told.read_text(), 10, f"signal {number}")
        run.communicate(timeout=30)
    assert run.returncode == 7
    assert told.read_text().split() == ["ready", "2", "1", "15"]


def test_the_command_ends_when_whoever_attends_it_is_killed(lab_up):
    with attended("sleep", "8642") as run:
        wait.until(lambda: "sleep 8642" in in_host("hv-a", "ps", "-e", "-o", "args"), 20, "the command to run")
        run.kill()
        run.communicate(timeout=30)
    wait.until(lambda: "sleep 8642" not in in_host("hv-a", "ps", "-e", "-o", "args"), 10, "the command to end")


def test_a_host_that_loses_its_power_is_told_from_a_command_that_is_killed(lab_up):
    with attended("sleep", "8641") as run:
        wait.until(lambda: "sleep 8641" in in_host("hv-a", "ps", "-e", "-o", "args"), 20, "the command to run")
        os.kill(next(host.pid for host in lab.status().hosts if host.name == "hv-a"), signal.SIGKILL)
        _, said = run.communicate(timeout=30)
    assert "PowerLostError: The host 'hv-a' lost its power while a command ran in it." in said
    assert lab.up().up
