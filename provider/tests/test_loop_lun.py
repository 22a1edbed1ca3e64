# SPDX-License-Identifier: GPL-2.0-or-later
"""A LUN that is lent is a real loop device, is gone after the block and after a kill, and nobody else's is ever taken away."""

import os
import subprocess
from pathlib import Path

import pytest

from provider.hvqual import loop_lun, undo_block
from provider.hvqual.host_state import HostStateError
from provider.tests.support import Record

pytestmark = pytest.mark.contract
REAL = pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/dev/loop-control").exists(), reason="needs root and loop devices"
)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An own state home, where the undo log is."""
    monkeypatch.setenv("AVOCADO_HVQUAL_HOME", str(tmp_path / "home"))
    return tmp_path


@REAL
def test_a_lun_is_there_for_the_block_and_no_longer(home):
    record = Record()
    with loop_lun.lent(8, str(home), record) as (wwid,):
        path = wwid.removeprefix("loop:")
        (device,) = undo_block.loops_of(path)
        size = subprocess.run(["blockdev", "--getsize64", device], capture_output=True, text=True, check=True)
        assert int(size.stdout) == 8 << 20
    assert undo_block.loops_of(path) == []
    assert not Path(path).exists()
    ((name, reason, ok),) = record.answers
    assert (name, ok) == ("LUNs of the operator", False)
    assert "a file of 8 MiB behind a loop device" in reason


@REAL
def test_what_a_killed_test_left_is_taken_away(home):
    path = home / "hvq-lun-7.raw"
    path.write_bytes(bytes(1 << 20))
    subprocess.run(["losetup", "--find", str(path)], check=True)
    assert undo_block.detach_loop({"path": str(path)}, home)[0] == "restored"
    assert undo_block.loops_of(str(path)) == []
    assert undo_block.detach_loop({"path": str(path)}, home)[0] == "gone"


@REAL
def test_a_device_that_somebody_has_open_is_told(home, monkeypatch):
    monkeypatch.setattr(undo_block, "_FREE_S", 0.2)
    path = home / "hvq-lun-8.raw"
    path.write_bytes(bytes(1 << 20))
    subprocess.run(["losetup", "--find", str(path)], check=True)
    (device,) = undo_block.loops_of(str(path))
    with Path(device).open("rb"):
        status, told = undo_block.detach_loop({"path": str(path)}, home)
    assert (status, "somebody has it open" in told) == ("failed", True)
    undo_block.wait.until(lambda: not undo_block.loops_of(str(path)), 10, "the device to be free")


def test_no_lun_is_lent_where_the_operator_lists_his_own(home):
    record = Record()
    with loop_lun.lent(0, str(home), record) as luns:
        assert (luns, record.answers) == ((), [])


def test_a_node_without_loop_devices_is_told_of(home, monkeypatch):
    failed = type("Done", (), {"returncode": 1, "stdout": "", "stderr": "cannot find an unused loop device"})()
    monkeypatch.setattr(loop_lun.subprocess, "run", lambda *_, **__: failed)
    with (
        pytest.raises(HostStateError, match="cannot find an unused loop device"),
        loop_lun.lent(8, str(home), Record()),
    ):
        pass
    assert list(home.glob("hvq-lun-*")) == []


def test_a_device_before_the_file_of_others_is_left_alone(tmp_path):
    assert undo_block.refuse_loop({"path": "/x/hvq-lun-1.raw"}, tmp_path) is None
    assert "others may need" in undo_block.refuse_loop({"path": "/srv/disk.raw"}, tmp_path)


def test_a_file_is_known_by_its_whole_path(tmp_path):
    for number, backing in enumerate(("/x/hvq-a", "/x/hvq-ab", "/x/hvq-a (deleted)")):
        (tmp_path / f"loop{number}/loop").mkdir(parents=True)
        (tmp_path / f"loop{number}/loop/backing_file").write_text(f"{backing}\n")
    (tmp_path / "loop3").mkdir()
    assert undo_block.loops_of("/x/hvq-a", tmp_path) == ["/dev/loop0", "/dev/loop2"]
