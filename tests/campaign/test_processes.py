# SPDX-License-Identifier: GPL-2.0-or-later
"""Processes and temporary folders of tests: ended and removed whole, and only they."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from avocado.core import data_dir

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


def test_a_campaign_that_was_killed_and_is_not_buried_yet_is_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who would bury it may have been killed with it; right after that ``clean`` took it for alive, and left what it had."""
    monkeypatch.setattr(scratch, "ROOT", tmp_path)
    with subprocess.Popen(["sleep", "60"]) as child:
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        zombie = processes.look(child.pid)
        assert zombie is not None
        assert not zombie.alive
        (tmp_path / f"{scratch.PREFIX}killed").mkdir()
        marker = tmp_path / f"{scratch.PREFIX}killed" / folder.MARKER
        marker.write_text(f"{child.pid} {zombie.start}", encoding="ascii")
        assert [path.name for path in scratch.remove_abandoned()] == [f"{scratch.PREFIX}killed"]


@pytest.mark.parametrize("there", ["same", "another", "link", "none", "foreign"])
def test_avocados_own_folder_of_a_dead_campaign_goes_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: str
) -> None:
    """By path and inode: what somebody else made there meanwhile is left alone."""
    monkeypatch.setattr(scratch, "ROOT", tmp_path)
    own = tmp_path / ("other_x" if there == "foreign" else "avocado_x")
    own.mkdir()
    monkeypatch.setattr(data_dir, "get_tmp_dir", lambda: str(own))
    monkeypatch.setattr(shutil, "rmtree", lambda *_args, **_kwargs: None)
    with scratch.folder() as path:
        pass
    monkeypatch.undo()
    monkeypatch.setattr(scratch, "ROOT", tmp_path)
    marker = path / folder.MARKER
    pid, start = marker.read_text(encoding="utf-8").splitlines()[0].split()
    marker.write_text(marker.read_text(encoding="utf-8").replace(f"{pid} {start}", f"{pid} 1"), encoding="utf-8")
    if there in {"another", "link", "none"}:
        own.rename(tmp_path / "away")
    if there == "another":
        own.mkdir()
    if there == "link":
        own.symlink_to(tmp_path / "away")
    assert [one.name for one in scratch.remove_abandoned()] == [*(["avocado_x"] if there == "same" else []), path.name]
    assert own.exists() == (there in {"another", "link", "foreign"})


def test_a_process_that_only_waits_has_no_folder_of_avocados() -> None:
    code = """
import os
from avocado.core import data_dir
from avocado_hvqual.campaign import scratch
made = data_dir.get_tmp_dir()
assert os.path.isdir(made)
scratch.do_without()
assert not os.path.exists(made), made
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to somebody else")
@pytest.mark.parametrize("how", ["owner", "link"])
def test_what_another_user_wrote_where_all_may_write_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Else anybody could have root remove a folder by writing its name down."""
    monkeypatch.setattr(scratch, "ROOT", tmp_path)
    victim, forged = tmp_path / "avocado_victim", tmp_path / f"{scratch.PREFIX}forged"
    victim.mkdir()
    place = forged if how == "owner" else tmp_path / "elsewhere"
    place.mkdir()
    (place / folder.MARKER).write_text(f"1 1\n{victim}\n{victim.stat().st_ino}\n", encoding="utf-8")
    if how == "owner":
        os.chown(forged, 65534, 65534)
    else:
        forged.symlink_to(place)
    assert scratch.remove_abandoned() == []
    assert victim.is_dir()
