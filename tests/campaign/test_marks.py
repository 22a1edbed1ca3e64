# SPDX-License-Identifier: GPL-2.0-or-later
"""What a killed test leaves running is known by its environment, and only by that."""

import os
import subprocess
import sys

import pytest

from avocado_hvqual.campaign import processes

SLEEPER = [sys.executable, "-c", "import sys; sys.stdin.read()"]
DAEMON = "import os, subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], start_new_session=True)"


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    """Leave the mark of these tests out of the environment of later ones."""
    monkeypatch.setenv(processes.MARK, "")


def test_a_daemon_of_a_test_is_found_and_ended():
    """A process that has left its parent, as aexpect_helper does, still carries the mark."""
    mark = processes.mark()
    subprocess.run([sys.executable, "-c", DAEMON], check=True)
    (left,) = processes.marked(mark)
    assert left.pid not in [process.pid for process in processes.abandoned()]
    assert processes.kill([left], 1.0) == []
    assert processes.marked(mark) == []


def test_only_what_carries_a_dead_owner_is_abandoned():
    """A process without a mark, one whose avocado lives and one of another pid namespace (a lab host's) are not ours to end."""
    free = {name: value for name, value in os.environ.items() if name != processes.MARK}
    stranger = subprocess.Popen(SLEEPER, stdin=subprocess.PIPE, env=free)
    here = processes.mark().partition(":")[0]
    orphan = subprocess.Popen(SLEEPER, stdin=subprocess.PIPE, env={**free, processes.MARK: f"{here}:999999999:1"})
    ours = subprocess.Popen(SLEEPER, stdin=subprocess.PIPE, env={**free, processes.MARK: processes.mark()})
    elsewhere = subprocess.Popen(SLEEPER, stdin=subprocess.PIPE, env={**free, processes.MARK: "1:999999999:1"})
    try:
        found = {process.pid for process in processes.abandoned()}
        assert found & {stranger.pid, orphan.pid, ours.pid, elsewhere.pid} == {orphan.pid}
    finally:
        for process in (stranger, orphan, ours, elsewhere):
            process.stdin.close()
            process.wait(10)
