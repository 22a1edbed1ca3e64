# SPDX-License-Identifier: GPL-2.0-or-later
"""What was changed is on disk before it is changed, and put back after a kill, a reboot and a failure."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from provider.hvqual import processes, undo, undo_store, wait
from provider.tests.support import by_the_dead, statuses

ROOT = Path(__file__).resolve().parents[2]
DEAD = processes.Identity(1, 1, "", 0)


class TestRecord:
    def test_is_durable_before_it_returns(self, log, monkeypatch, tmp_path):
        """File and folder are fsynced, the file before its rename and the folder after."""
        calls = []
        real_fsync, real_replace = os.fsync, Path.replace
        monkeypatch.setattr(
            os,
            "fsync",
            lambda fd: (calls.append(os.readlink(f"/proc/self/fd/{fd}")), real_fsync(fd))[1],  # noqa: PTH115 - a descriptor
        )
        monkeypatch.setattr(Path, "replace", lambda self, to: (calls.append("rename"), real_replace(self, to))[1])
        entry = log.record("remove_path", path=str(tmp_path / "hvq-x"))
        at = calls.index("rename")
        assert calls[at - 1].endswith(f".{entry.path.name}.tmp")
        assert calls[at + 1] == str(log.folder)
        assert str(log.home) in calls  # the new folders are durable too
        assert str(log.home.parent) in calls

    def test_is_roots_alone_and_bars_nobody_from_what_lies_beside_it(self, tmp_path):
        """The state home holds images too, which QEMU reads as a user of its own."""
        old = os.umask(0o077)
        try:
            undo_store.make_folder(tmp_path / "state" / "home" / "undo" / "local")
        finally:
            os.umask(old)
        modes = {
            part: (tmp_path / part).stat().st_mode & 0o777 for part in ("state", "state/home", "state/home/undo/local")
        }
        assert modes == {"state": 0o755, "state/home": 0o755, "state/home/undo/local": 0o700}

    @pytest.mark.parametrize(
        ("action", "details", "because"),
        [
            ("format_disk", {}, "no action"),
            ("remove_path", {"path": "/etc/passwd"}, "is not ours"),
            ("remove_path", {"path": "relative/hvq-x"}, "is not ours"),
            ("remove_path", {"path": "/tmp/hvq-x/../../etc/passwd"}, "is not ours"),  # noqa: S108
            ("remove_path", {}, "needs"),
            ("remove_path", {"path": "/tmp/hvq-x", "more": 1}, "takes"),  # noqa: S108
            ("remove_temporary_folder", {"path": "/var/tmp/other_1", "inode": 1}, "is not one of avocado's"),  # noqa: S108
            ("remove_temporary_folder", {"path": "/var/tmp/avocado_1"}, "needs"),  # noqa: S108
            ("write_kernel_file", {"path": "/etc/passwd", "old": ""}, "no file of the kernel"),
            ("link_del", {"link": "eth0"}, "is not ours"),
            ("umount", {"path": "/proc"}, "is not ours"),
            ("kill_matching", {"words": ["-name", "other"]}, "does not tell"),
            ("kill_matching", {"words": ["hvq-x"]}, "does not tell"),
            ("write_file", {"path": "/x", "old": b"\0", "new": ""}, "JSON"),
        ],
    )
    def test_refuses_what_decision_7_forbids(self, log, action, details, because):
        """An entry that must not be replayed is not taken, so the change is not made."""
        with pytest.raises(undo.UndoError, match=because):
            log.record(action, **details)
        assert log.status().entries == []

    def test_a_link_named_like_ours_leads_nowhere_else(self, log, tmp_path):
        (tmp_path / "hvq-link").symlink_to("/etc")
        with pytest.raises(undo.UndoError, match="is not ours"):
            log.record("remove_path", path=str(tmp_path / "hvq-link" / "passwd"))

    def test_says_that_the_change_was_not_made_when_the_disk_refuses(self, tmp_path):
        (tmp_path / "undo").write_text("a file where the folder should be")
        with pytest.raises(undo.UndoError, match="The change was not made"):
            undo.UndoLog(tmp_path, "local").record("remove_path", path="/tmp/hvq-x")  # noqa: S108

    @pytest.mark.parametrize("name", ["", "../x", ".hidden", "a/b"])
    def test_host_names_stay_in_the_folder(self, tmp_path, name):
        with pytest.raises(undo.UndoError):
            undo.UndoLog(tmp_path, name)


class TestReplay:
    def test_is_last_in_first_out_past_nine_entries(self, log, tmp_path):
        made = [by_the_dead(log.record("remove_path", path=str(tmp_path / f"hvq-{n}"))) for n in range(12)]
        assert [outcome.entry for outcome in log.replay()] == [entry.path.name for entry in reversed(made)]

    def test_puts_nested_settings_back_to_the_first_value(self, log, kernel):
        setting = kernel / "a"
        setting.write_text("1\n")
        for old, new in (("1", "2"), ("2", "3")):
            by_the_dead(log.record("write_kernel_file", path=str(setting), old=old))
            setting.write_text(new)
        assert statuses(log.replay()) == [("write_kernel_file", "restored")] * 2
        assert setting.read_text() == "1"

    def test_again_does_nothing(self, log, tmp_path):
        path = tmp_path / "hvq-x"
        by_the_dead(log.record("remove_path", path=str(path)))
        path.mkdir()
        (path / "inner").touch()
        assert statuses(log.replay()) == [("remove_path", "restored")]
        assert not path.exists()
        assert log.replay() == []

    def test_of_a_change_that_was_never_made_is_fine(self, log, kernel, tmp_path):
        setting = kernel / "a"
        setting.write_text("1")
        by_the_dead(log.record("write_kernel_file", path=str(setting), old="1"))
        by_the_dead(log.record("remove_path", path=str(tmp_path / "hvq-never")))
        assert statuses(log.replay()) == [("remove_path", "gone"), ("write_kernel_file", "restored")]
        assert log.status() == undo_store.Status()

    def test_goes_on_after_a_failure_and_taints(self, log, kernel, tmp_path):
        """A setting that the kernel does not take back stays in the log, the rest is put back, the campaign is stopped."""
        (kernel / "stubborn").write_text("2")
        (kernel / "stubborn").chmod(0o400)
        first, last = tmp_path / "hvq-first", tmp_path / "hvq-last"
        by_the_dead(log.record("remove_path", path=str(first)))
        failing = by_the_dead(log.record("write_file", path=str(kernel / "stubborn"), old="1", new="other"))
        by_the_dead(log.record("remove_path", path=str(last)))
        first.touch()
        last.touch()
        told = []
        assert [status for _, status in statuses(log.replay(told.append))] == ["restored", "failed", "restored"]
        assert not first.exists()
        assert not last.exists()
        assert [entry.path for entry in log.status().entries] == [failing.path]
        assert "somebody else changed it" in log.status().tainted[0]
        assert any(line.startswith("failed: write_file") for line in told)

    def test_keeps_a_half_written_entry_and_tells_it(self, log, tmp_path):
        torn = by_the_dead(log.record("remove_path", path=str(tmp_path / "hvq-torn")))
        torn.path.write_text(torn.path.read_text()[:40])
        whole = by_the_dead(log.record("remove_path", path=str(tmp_path / "hvq-whole")))
        outcomes = log.replay()
        assert sorted(outcome.status for outcome in outcomes) == ["failed", "gone"]
        assert torn.path.exists()
        assert not whole.path.exists()
        assert log.status().tainted

    @pytest.mark.parametrize(
        "content", ["", "[]", "{}", "null", '{"format": 9}', "\x00" * 50, '{"format": 1, "details": 3, "action": "x"}']
    )
    def test_never_crashes_on_what_is_no_entry(self, log, content):
        log.folder.mkdir(parents=True)
        (log.folder / "0001-x.json").write_text(content)
        assert [outcome.status for outcome in log.replay()] == ["failed"]

    def test_an_entry_asking_for_what_is_not_ours_fails(self, log, tmp_path):
        """Somebody edited the log: nothing outside our marks is removed for it."""
        victim = tmp_path / "home-of-somebody"
        victim.mkdir()
        entry = by_the_dead(log.record("remove_path", path=str(tmp_path / "hvq-x")))
        entry.path.write_text(entry.path.read_text().replace("hvq-x", victim.name))
        assert [outcome.status for outcome in log.replay()] == ["failed"]
        assert victim.is_dir()

    def test_a_writer_that_died_before_the_rename_changed_nothing(self, log):
        log.folder.mkdir(parents=True)
        temporary = log.folder / ".0001-x.json.tmp"
        temporary.write_text("{")
        assert [outcome.status for outcome in log.replay()] == ["moot"]
        assert temporary.exists()
        assert not log.status().tainted
        log.replay(forget_torn=True)
        assert not temporary.exists()


class TestOwner:
    def test_the_living_are_left_alone_unless_forced(self, log, tmp_path):
        path = tmp_path / "hvq-x"
        log.record("remove_path", path=str(path))
        path.touch()
        assert statuses(log.replay()) == [("remove_path", "skipped")]
        assert path.exists()
        assert statuses(log.replay(force=True)) == [("remove_path", "restored")]

    def test_a_number_given_to_another_process_is_not_the_owner(self, log, tmp_path):
        by_the_dead(log.record("remove_path", path=str(tmp_path / "hvq-x")))  # our pid, another start time
        assert statuses(log.replay()) == [("remove_path", "gone")]

    def test_a_zombie_is_dead(self):
        child = subprocess.Popen(["sleep", "100"])
        who = processes.identity(child.pid)
        assert processes.find(who) == child.pid
        child.kill()
        wait.until(lambda: processes.stat_fields(child.pid)[0] == "Z", 5, "a zombie")
        assert processes.find(who) is None
        child.wait()

    def test_after_a_reboot_kernel_settings_and_processes_are_moot(self, log, kernel, tmp_path):
        """The kernel forgot them with the reboot: the value of the new boot stays. Files are still removed."""
        setting = kernel / "a"
        setting.write_text("of the new boot")
        child = subprocess.Popen(["sleep", "100"])
        try:
            before = {"boot_id": "another"}
            by_the_dead(log.record("write_kernel_file", path=str(setting), old="1"), **before)
            by_the_dead(log.record("kill_process", process=processes.identity(child.pid).as_json()), **before)
            path = tmp_path / "hvq-x"
            path.touch()
            by_the_dead(log.record("remove_path", path=str(path)), **before)
            assert statuses(log.replay()) == [
                ("remove_path", "restored"),
                ("kill_process", "moot"),
                ("write_kernel_file", "moot"),
            ]
            assert child.poll() is None
            assert setting.read_text() == "of the new boot"
        finally:
            child.kill()
            child.wait()

    def test_an_owner_in_a_namespace_out_of_sight_is_known_by_its_lock(self, log, tmp_path):
        """The lock of the owner ends with it, and only with it."""
        script = (
            "import sys; from provider.hvqual import undo, processes; import dataclasses\n"
            "real = processes.identity\n"
            "processes.identity = lambda pid=None: dataclasses.replace(real(pid), pid_ns=1)\n"
            f"undo.UndoLog({str(log.home)!r}, 'local').record('remove_path', path={str(tmp_path / 'hvq-x')!r})\n"
            "print('recorded', flush=True); sys.stdin.read()\n"
        )
        child = subprocess.Popen(
            [sys.executable, "-c", script], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert child.stdout.readline() == "recorded\n"
        assert statuses(log.replay()) == [("remove_path", "skipped")]
        child.kill()
        child.wait()
        assert statuses(log.replay()) == [("remove_path", "gone")]
        assert not list(log.folder.glob(".owner-1-*"))  # tidied


class TestTaint:
    def test_gathers_reasons_until_it_is_lifted(self, log):
        log.taint("one\nreason")
        log.taint("another")
        assert log.status().tainted == ["one reason", "another"]
        log.clear_taint()
        assert log.status().tainted == []
        log.clear_taint()


class TestScript:
    def run(self, log, *arguments):
        command = [sys.executable, str(ROOT / "provider/hvqual/undo.py"), *arguments]
        done = subprocess.run(
            [*command, "--home", str(log.home), "--host", "local"], capture_output=True, text=True, check=False, cwd="/"
        )
        return done.returncode, json.loads(done.stdout)

    def test_replays_for_the_living_only_by_force(self, log, tmp_path):
        path = tmp_path / "hvq-x"
        log.record("remove_path", path=str(path))
        path.touch()
        code, answer = self.run(log, "replay")
        assert (code, answer["outcomes"][0]["status"], answer["left"][0]["alive"]) == (1, "skipped", True)
        code, answer = self.run(log, "replay", "--force")
        assert (code, answer["outcomes"][0]["status"], answer["left"]) == (0, "restored", [])

    def test_status_of_a_tainted_node_is_no_success(self, log):
        assert self.run(log, "status")[0] == 0
        log.taint("why")
        assert self.run(log, "status") == (1, {"outcomes": [], "left": [], "broken": {}, "tainted": ["why"]})
