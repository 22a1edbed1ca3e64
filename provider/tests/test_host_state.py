# SPDX-License-Identifier: GPL-2.0-or-later
"""A block that changes a node puts it back: after success, failure and refusal; what it cannot, it says and marks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from avocado.core.exceptions import TestError, TestFail

from provider.hvqual import host_state, processes, settings_file, undo_actions, undo_store, wait
from provider.hvqual.host_state import HostStateError
from provider.hvqual.undo import UndoLog


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    """A fake kernel's files: what is written is what is read."""
    folder = tmp_path / "kernel"
    folder.mkdir()
    monkeypatch.setattr(settings_file, "KERNEL_ROOTS", (f"{folder}/",))
    (folder / "a").write_text("1\n")
    return folder


@pytest.fixture
def log(tmp_path):
    return UndoLog(tmp_path / "home", "local")


@pytest.fixture
def refuse(monkeypatch):
    """Make the kernel refuse some writes: a function of path and value that raises."""

    def install(judge):
        real = settings_file.write_setting

        def write(path, value):
            judge(Path(path), value)
            real(path, value)

        for module in (host_state, undo_actions):
            monkeypatch.setattr(module, "write_setting", write)

    return install


class TestKernelSetting:
    def test_is_held_and_put_back(self, kernel, log):
        with host_state.kernel_setting(kernel / "a", 5, log=log) as before:
            assert (before, (kernel / "a").read_text()) == ("1", "5")
            assert [entry.details["old"] for entry in log.status().entries] == ["1"]
        assert (kernel / "a").read_text() == "1"
        assert log.status() == undo_store.Status()

    def test_is_put_back_after_a_failure_which_stays_the_failure(self, kernel, log):
        with pytest.raises(TestFail, match="the product"):  # noqa: PT012 - the block is what is tested
            with host_state.kernel_setting(kernel / "a", 5, log=log):
                msg = "the product did wrong"
                raise TestFail(msg)
        assert (kernel / "a").read_text() == "1"
        assert log.status() == undo_store.Status()

    def test_is_written_down_before_it_is_made(self, kernel, log, refuse):
        seen = []
        refuse(lambda path, value: seen.append((value, len(log.status().entries))))
        with host_state.kernel_setting(kernel / "a", 5, log=log):
            pass
        assert seen == [("5", 1), ("1", 1)]

    def test_is_not_made_when_the_log_does_not_take_it(self, kernel, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(HostStateError, match="The change was not made"):
            with host_state.kernel_setting(kernel / "a", 5, log=UndoLog(tmp_path / "file", "local")):
                pytest.fail("the block must not run")
        assert (kernel / "a").read_text() == "1\n"

    def test_refused_by_the_kernel_is_an_error_and_no_taint(self, kernel, log, refuse):
        def judge(_path, value):
            if value == "5":
                raise OSError(22, "Invalid argument")

        refuse(judge)
        with pytest.raises(HostStateError, match=r"does not take '5'.*Invalid argument"):
            with host_state.kernel_setting(kernel / "a", 5, log=log):
                pytest.fail("the block must not run")
        assert log.status() == undo_store.Status()

    def test_a_missing_setting_is_told(self, kernel, log):
        with pytest.raises(HostStateError, match="cannot be read"):
            with host_state.kernel_setting(kernel / "nosuch", 5, log=log):
                pass
        assert log.status() == undo_store.Status()

    def test_reads_the_chosen_word_of_a_list(self, kernel):
        (kernel / "thp").write_text("always [madvise] never\n")
        assert settings_file.read_setting(kernel / "thp") == "madvise"

    def test_what_is_no_kernel_file_is_refused(self, tmp_path, log):
        (tmp_path / "file").write_text("1")
        with pytest.raises(HostStateError, match="no file of the kernel"):
            with host_state.kernel_setting(tmp_path / "file", 5, log=log):
                pass


class TestFailedRestore:
    @pytest.fixture
    def stubborn(self, kernel, refuse):
        """A setting that goes up but never back."""

        def judge(_path, value):
            if value == "1":
                raise OSError(16, "Device or resource busy")

        refuse(judge)
        return kernel / "a"

    def test_is_an_error_and_taints(self, stubborn, log):
        with pytest.raises(HostStateError, match="avocado hvqual clean") as caught:
            with host_state.kernel_setting(stubborn, 5, log=log):
                pass
        assert caught.value.status == "ERROR"
        assert "Device or resource busy" in log.status().tainted[0]
        assert len(log.status().entries) == 1, "clean must be able to try again"

    def test_keeps_the_failure_before_it(self, stubborn, log):
        with pytest.raises(HostStateError, match="Before that: TestFail: data is lost") as caught:  # noqa: PT012 - the block is what is tested
            with host_state.kernel_setting(stubborn, 5, log=log):
                msg = "data is lost"
                raise TestFail(msg)
        assert isinstance(caught.value.__cause__, TestFail)

    def test_does_not_keep_the_outer_block_from_its_own(self, stubborn, kernel, log):
        (kernel / "b").write_text("7")
        with pytest.raises(HostStateError):
            with host_state.kernel_setting(kernel / "b", 8, log=log), host_state.kernel_setting(stubborn, 5, log=log):
                pass
        assert (kernel / "b").read_text() == "7"

    def test_a_write_that_silently_does_nothing_is_noticed(self, kernel, log, monkeypatch):
        """The kernel says yes and keeps its value: only reading back shows it."""
        monkeypatch.setattr(undo_actions, "SETTLE", 0.1)
        with pytest.raises(HostStateError, match="holds '5' after '1' was written back"):
            with host_state.kernel_setting(kernel / "a", 5, log=log):
                monkeypatch.setattr(undo_actions, "write_setting", lambda path, value: None)
        assert log.status().tainted

    def test_a_value_that_comes_down_late_is_put_back(self, kernel, log, monkeypatch):
        """A pool of huge pages whose last one is in use is one page bigger than what was written, until that is given back."""
        later = threading.Timer(0.3, (kernel / "a").write_text, ["1"])
        with host_state.kernel_setting(kernel / "a", 5, log=log):
            monkeypatch.setattr(undo_actions, "write_setting", lambda *_: later.start())
        later.join()
        assert (kernel / "a").read_text() == "1"
        assert log.status() == undo_store.Status()

    def test_a_full_disk_at_the_mark_is_told_too(self, stubborn, log, monkeypatch):
        def full(reason):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(log, "taint", full)
        with pytest.raises(HostStateError, match="could not be marked as tainted"):
            with host_state.kernel_setting(stubborn, 5, log=log):
                pass


class TestHugePages:
    @pytest.fixture
    def pool(self, kernel):
        folder = kernel / "hugepages-2048kB"
        folder.mkdir()
        (folder / "nr_hugepages").write_text("3\n")
        (folder / "free_hugepages").write_text("1\n")
        return folder

    def test_come_on_top_of_those_in_use(self, kernel, pool, log):
        with host_state.huge_pages(2048, 4, log=log, root=kernel):
            assert (pool / "nr_hugepages").read_text() == "6"  # 2 in use, 4 free
        assert (pool / "nr_hugepages").read_text() == "3"

    def test_fewer_than_asked_is_an_error_and_what_came_goes_back(self, kernel, pool, log, monkeypatch):
        """The kernel takes the write and gives fewer pages."""
        real = settings_file.write_setting
        monkeypatch.setattr(host_state, "write_setting", lambda path, value: real(path, "5"))
        with pytest.raises(HostStateError, match=r"holds '5' after '6' was written. Is the node short"):
            with host_state.huge_pages(2048, 4, log=log, root=kernel):
                pytest.fail("the block must not run")
        assert (pool / "nr_hugepages").read_text() == "3"
        assert log.status() == undo_store.Status()

    def test_of_a_size_that_the_node_lacks(self, kernel, log):
        with pytest.raises(HostStateError, match="has no huge pages of 4 KiB"):
            with host_state.huge_pages(4, 1, log=log, root=kernel):
                pass


class TestPathsAndProcesses:
    def test_a_temporary_path_is_removed_whatever_became_of_it(self, tmp_path, log):
        with host_state.temporary_path(tmp_path / "hvq-x", log=log) as path:
            path.mkdir()
            (path / "inner").touch()
        assert not path.exists()

    def test_what_was_there_before_is_never_removed(self, tmp_path, log):
        (tmp_path / "hvq-x").write_text("theirs")
        with pytest.raises(HostStateError, match="is there already"):
            with host_state.temporary_path(tmp_path / "hvq-x", log=log):
                pass
        assert (tmp_path / "hvq-x").read_text() == "theirs"

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")
    def test_a_file_belongs_to_whom_it_belonged(self, tmp_path, log):
        kernel = tmp_path / "vmlinuz"
        kernel.write_text("kernel")
        os.chown(kernel, 12345, 54321)
        with host_state.same_owner(kernel, log=log):
            assert [entry.action for entry in log.status().entries] == ["give_back"]
            os.chown(kernel, 0, 0)
        assert (kernel.stat().st_uid, kernel.stat().st_gid) == (12345, 54321)
        assert log.status().entries == []
        kernel.unlink()
        with (
            pytest.raises(host_state.HostStateError, match="vmlinuz', which a guest is to read"),
            host_state.same_owner(kernel, log=log),
        ):
            pass

    def test_a_path_without_our_mark_is_refused(self, tmp_path, log):
        with pytest.raises(HostStateError, match="is not ours"):
            with host_state.temporary_path(tmp_path / "x", log=log):
                pass

    def test_a_process_is_stopped_for_the_block_alone(self, log):
        child = subprocess.Popen(["sleep", "100"])
        try:
            with host_state.stopped_process(child.pid, log=log):
                assert processes.stat_fields(child.pid)[0] == "T"
            assert processes.stat_fields(child.pid)[0] != "T"
            with host_state.stopped_process(child.pid, log=log):
                child.kill()
                child.wait()
        finally:
            child.kill()
            child.wait()
        assert log.status() == undo_store.Status()
        with pytest.raises(HostStateError, match="no process"):
            with host_state.stopped_process(child.pid, log=log):
                pass

    def test_a_temporary_process_ends_with_the_block(self, log):
        token = f"hvq-guard{os.getpid()}"
        with host_state.temporary_process(f"-name {token}", list, log=log):
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(99)", "-name", token])
            wait.until(lambda: token.encode() in Path(f"/proc/{child.pid}/cmdline").read_bytes(), 5, "the process")
        assert child.wait() == -signal.SIGTERM

    def test_a_process_that_the_caller_still_sees_taints(self, log):
        with pytest.raises(HostStateError, match="live on"):
            with host_state.temporary_process("-name hvq-other", lambda: [4711], log=log):
                pass
        assert log.status().tainted

    def test_a_domain_without_our_prefix_is_refused(self, log):
        with pytest.raises(HostStateError, match="does not begin with"):
            with host_state.domain_guard("test:///default", "production", log=log):
                pass

    def test_a_dead_libvirtd_is_told(self, log):
        uri = "qemu+unix:///system?socket=/nonexistent"
        with pytest.raises(HostStateError, match="libvirtd does not answer"):
            with host_state.domain_guard(uri, "hvq-x", log=log):
                pass


def test_host_state_error_is_avocados_error():
    """Avocado records it as ERROR, which no exit code calls success."""
    assert issubclass(HostStateError, TestError)
