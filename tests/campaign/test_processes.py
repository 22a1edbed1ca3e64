# SPDX-License-Identifier: GPL-2.0-or-later
"""Processes and temporary folders of tests: ended and removed whole, and only they."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from avocado_hvqual import wait
from avocado_hvqual.campaign import folder, processes, scratch


def test_a_process_is_ended_with_its_children_and_only_it() -> None:
    victim = subprocess.Popen(
        [sys.executable, "-c", "import signal; signal.signal(15, signal.SIG_IGN); signal.pause()"]
    )
    other = subprocess.Popen(["sleep", "60"])
    try:
        found = processes.look(victim.pid)
        assert found is not None
        wait.until(lambda: "SIG_IGN" in Path(f"/proc/{victim.pid}/cmdline").read_text(), 5, "the victim")
        assert processes.kill([found], 0.3) == []
        victim.wait(5)
        now = processes.look(other.pid)
        assert now is not None
        assert now.alive
        stale = processes.Process(other.pid, 1, "S", now.start - 1)
        processes.kill([stale], 0.1)
        assert other.poll() is None, "a number that was given away again is another process"
    finally:
        for process in (victim, other):
            process.kill()
            process.wait()


def test_descendants_are_found_parents_first() -> None:
    tree = [processes.Process(pid, parent, "S", 1) for pid, parent in ((2, 1), (3, 2), (4, 3), (9, 8))]
    assert [process.pid for process in processes.below(2, tree)] == [3, 4]


def test_the_tests_temporary_folder_is_theirs_alone_and_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", "/somewhere")
    with scratch.folder() as path:
        assert os.environ["TMPDIR"] == str(path) == tempfile.gettempdir()
        assert len(str(path)) < 40, "a monitor socket below it has 107 bytes in all"
        assert scratch.remove_abandoned() == [] or path.exists()
    assert not path.exists()
    assert os.environ["TMPDIR"] == "/somewhere"
    assert tempfile.gettempdir() != str(path)


def test_only_temporary_folders_of_dead_campaigns_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "ROOT", tmp_path)
    me = processes.look(os.getpid())
    assert me is not None
    for name, text in (("alive", f"{me.pid} {me.start}"), ("dead", f"{me.pid} {me.start - 1}"), ("foreign", "")):
        (tmp_path / f"{scratch.PREFIX}{name}").mkdir()
        if text:
            (tmp_path / f"{scratch.PREFIX}{name}" / folder.MARKER).write_text(text, encoding="ascii")
    assert [path.name for path in scratch.remove_abandoned()] == [f"{scratch.PREFIX}dead"]
