# SPDX-License-Identifier: GPL-2.0-or-later
"""Each way of putting a change back, and a process killed at random moments."""

from __future__ import annotations

import dataclasses
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from provider.hvqual import processes, settings_file, undo, undo_actions, undo_owner, undo_store, wait
from provider.tests.support import by_the_dead, statuses

ROOT = Path(__file__).resolve().parents[2]


class TestActions:
    def test_write_file_gives_content_mode_and_absence_back(self, log, tmp_path):
        path, fresh = tmp_path / "a.conf", tmp_path / "b.conf"
        path.write_text("old")
        path.chmod(0o640)
        by_the_dead(log.record("write_file", path=str(path), old="old", new="new"))
        by_the_dead(log.record("write_file", path=str(fresh), old=None, new="new"))
        path.write_text("new")
        fresh.write_text("new")
        assert [status for _, status in statuses(log.replay())] == ["restored", "restored"]
        assert (path.read_text(), path.stat().st_mode & 0o777, fresh.exists()) == ("old", 0o640, False)
        assert [p.name for p in tmp_path.iterdir() if p.name.startswith("hvq-")] == []

    def test_remove_path_removes_a_link_not_what_it_shows(self, log, tmp_path):
        target = tmp_path / "target"
        target.mkdir()
        (target / "kept").touch()
        by_the_dead(log.record("remove_path", path=str(tmp_path / "hvq-link")))
        (tmp_path / "hvq-link").symlink_to(target)
        log.replay()
        assert (target / "kept").exists()
        assert not os.path.lexists(tmp_path / "hvq-link")

    def test_a_folder_below_a_marker_file_is_ours(self, log, tmp_path):
        place = tmp_path / "place"
        place.mkdir()
        with pytest.raises(undo.UndoError):
            log.record("remove_path", path=str(place / "x"))
        (place / ".hvqual").touch()
        log.record("remove_path", path=str(place / "x"))

    def test_a_temporary_folder_of_the_same_name_made_later_is_not_ours(self, log):
        path = Path("/var/tmp") / f"avocado_hvqtest{os.getpid()}"  # noqa: S108 - where avocado makes them
        path.mkdir()
        try:
            by_the_dead(log.record("remove_temporary_folder", path=str(path), inode=path.stat().st_ino + 1))
            assert statuses(log.replay()) == [("remove_temporary_folder", "gone")]
            assert path.exists()
            by_the_dead(log.record("remove_temporary_folder", path=str(path), inode=path.stat().st_ino))
            assert statuses(log.replay()) == [("remove_temporary_folder", "restored")]
            assert not path.exists()
        finally:
            if path.exists():
                path.rmdir()

    def test_give_back_takes_libvirts_note_with_it_and_leaves_another_file_alone(self, log, tmp_path):
        """As a host without power leaves it: QEMU's user has the file, and libvirt's note counts a guest that is no more."""
        kernel = tmp_path / "vmlinuz"
        kernel.write_text("kernel")
        details = {"path": str(kernel), "uid": 0, "gid": 0, "inode": kernel.stat().st_ino}
        for after in (lambda: None, lambda: os.chown(kernel, 65534, 65534)):
            by_the_dead(log.record("give_back", **details))
            after()
            assert statuses(log.replay()) == [("give_back", "restored")]
            assert (kernel.stat().st_uid, kernel.stat().st_gid) == (0, 0)
        os.chown(kernel, 65534, 65534)
        try:
            os.setxattr(kernel, undo_owner.REMEMBERED[0], b"+0:+0")
        except OSError as error:
            pytest.skip(f"this file system keeps no such note: {error}")
        os.setxattr(kernel, "trusted.other", b"somebody's")
        by_the_dead(log.record("give_back", **details))
        assert statuses(log.replay()) == [("give_back", "restored")]
        assert os.listxattr(kernel) == ["trusted.other"]
        kernel.rename(tmp_path / "moved")
        (tmp_path / "vmlinuz").write_text("another")
        os.chown(kernel, 65534, 65534)
        for there in (True, False):
            by_the_dead(log.record("give_back", **details))
            assert statuses(log.replay()) == [("give_back", "gone")]
            assert not there or kernel.stat().st_uid == 65534
            kernel.unlink(missing_ok=True)

    def test_a_stopped_process_runs_on(self, log):
        child = subprocess.Popen(["sleep", "100"])
        try:
            by_the_dead(log.record("resume_process", process=processes.identity(child.pid).as_json()))
            os.kill(child.pid, signal.SIGSTOP)
            wait.until(lambda: processes.stat_fields(child.pid)[0] == "T", 5, "a stopped process")
            assert statuses(log.replay()) == [("resume_process", "restored")]
            assert processes.stat_fields(child.pid)[0] != "T"
        finally:
            child.kill()
            child.wait()

    def test_kill_process_ends_one_that_ignores_sigterm_and_no_namesake(self, log):
        script = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(99)"
        child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
        child.stdout.readline()
        who = processes.identity(child.pid)
        by_the_dead(log.record("kill_process", process=dataclasses.replace(who, start=who.start - 1).as_json()))
        assert statuses(log.replay()) == [("kill_process", "gone")]
        assert child.poll() is None
        by_the_dead(log.record("kill_process", process=who.as_json()))
        assert statuses(log.replay()) == [("kill_process", "restored")]
        assert child.wait() == -signal.SIGKILL

    def test_kill_matching_ends_exactly_the_words_in_a_row(self, log):
        token = f"hvq-test{os.getpid()}"
        command = [sys.executable, "-c", "import time; time.sleep(99)"]
        ours = subprocess.Popen([*command, "-name", token])
        other = subprocess.Popen([*command, "-name", "x", token])
        try:
            by_the_dead(log.record("kill_matching", words=["-name", token]))
            wait.until(lambda: token.encode() in Path(f"/proc/{ours.pid}/cmdline").read_bytes(), 5, "the process")
            assert statuses(log.replay()) == [("kill_matching", "restored")]
            assert ours.wait() == -signal.SIGTERM
            assert other.poll() is None
        finally:
            other.kill()
            other.wait()

    def test_every_action_is_told_in_this_file_or_its_neighbours(self):
        """No action of the registry without a test that names it."""
        told = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
        assert [name for name in undo_actions.ACTIONS if name not in told] == []


NESTED = """
import sys, itertools
from pathlib import Path
from provider.hvqual import host_state, settings_file, undo
home, folder = Path(sys.argv[1]), Path(sys.argv[2])
settings_file.KERNEL_ROOTS = (f"{folder}/proc/",)
log = undo.UndoLog(home, "local")
print("up", flush=True)
for n in itertools.count():
    with host_state.kernel_setting(folder / "proc" / "a", n + 10, log=log):
        with host_state.temporary_path(folder / "hvq-x", log=log) as path:
            path.write_text("x")
            with host_state.kernel_setting(folder / "proc" / "b", n, log=log), host_state.kernel_setting(folder / "proc" / "a", n, log=log):
                pass
"""


def test_kill_9_at_random_moments_is_replayed(tmp_path, monkeypatch):
    """Whenever the process dies, the replay gives the node back as it was, and leaves an empty log."""
    (tmp_path / "proc").mkdir()
    monkeypatch.setattr(settings_file, "KERNEL_ROOTS", (f"{tmp_path}/proc/",))
    log = undo.UndoLog(tmp_path / "home", "local")
    chance, caught = random.Random(7), 0
    for _ in range(25):
        for name, value in (("a", "1"), ("b", "2")):
            (tmp_path / "proc" / name).write_text(value)
        child = subprocess.Popen(
            [sys.executable, "-c", NESTED, str(log.home), str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert child.stdout.readline() == "up\n"
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(chance.uniform(0, 0.03))
        child.kill()
        child.wait()
        caught += bool(log.status().entries)
        outcomes = log.replay(forget_torn=True)
        assert {outcome.status for outcome in outcomes} <= {"restored", "gone", "moot"}, outcomes
        found = (
            (tmp_path / "proc/a").read_text(),
            (tmp_path / "proc/b").read_text(),
            (tmp_path / "hvq-x").exists(),
        )
        assert found == ("1", "2", False)
        assert log.status() == undo_store.Status()
    assert caught > 0, "no kill met an open entry: the test proved nothing"
