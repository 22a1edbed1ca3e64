# SPDX-License-Identifier: GPL-2.0-or-later
"""Save files of warm guests are bounded: what was unused for longest goes, what is held stays, and what is not ours is not touched."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from provider.hvqual import warm, warm_room
from provider.hvqual.warm_room import bound, held

MIB = 1 << 20
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Five sets of a MiB, the first one used longest ago."""
    place = tmp_path / "images" / "warm"
    for number in range(5):
        fill(place / f"{number:016x}", number)
    return place


def fill(folder: Path, used: float, size: int = MIB, name: str = "hvq-w1-1.save") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(b"x" * size)
    os.utime(folder, (used, used))


def left(home: Path) -> list[int]:
    return sorted(int(path.name, 16) for path in home.iterdir())


def test_what_was_unused_for_longest_goes_and_no_more_than_must(home: Path) -> None:
    assert bound(home, 3 * MIB) == [f"{number:016x}" for number in (0, 1)]
    assert left(home) == [2, 3, 4]
    assert bound(home, 3 * MIB) == []


def test_what_is_used_is_the_last_to_go(home: Path) -> None:
    with held(home / f"{0:016x}"):
        pass
    bound(home, 2 * MIB)
    assert left(home) == [0, 4]


def test_what_is_held_stays_whoever_holds_it_and_goes_when_it_is_let_go(home: Path) -> None:
    script = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from provider.hvqual import warm_room
with warm_room.held(Path({str(home / f"{0:016x}")!r})):
    print("held", flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        os.utime(home / f"{0:016x}", (0, 0))
        with held(home / f"{1:016x}"):
            os.utime(home / f"{1:016x}", (1, 1))
            assert bound(home, 0) == [f"{number:016x}" for number in (2, 3, 4)]
            assert left(home) == [0, 1]
        other.kill()
    assert bound(home, 0) == [f"{number:016x}" for number in (0, 1)]
    assert left(home) == []


def test_two_may_hold_one_set_and_it_stays_until_both_let_go(home: Path) -> None:
    folder = home / f"{0:016x}"
    with held(folder):
        with held(folder):
            pass
        assert folder.name not in bound(home, 0)
    assert bound(home, 0) == [folder.name]


def test_who_comes_while_a_set_goes_has_a_folder_of_his_own(home: Path) -> None:
    """Held is what lies there now, not what was there when it was opened."""
    folder, entered, go = home / f"{0:016x}", threading.Event(), threading.Event()
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    warm_room.fcntl.flock(descriptor, warm_room.fcntl.LOCK_EX)

    def comes() -> None:
        with held(folder):
            (folder / "hvq-w1-1.save").write_bytes(b"new")
            entered.set()
            go.wait(10)

    thread = threading.Thread(target=comes)
    thread.start()
    (folder / "hvq-w1-1.save").unlink()
    folder.rmdir()
    os.close(descriptor)
    assert entered.wait(10)
    assert bound(home, 0) == [f"{number:016x}" for number in (1, 2, 3, 4)]
    assert (folder / "hvq-w1-1.save").read_bytes() == b"new"
    go.set()
    thread.join()


def test_what_a_killed_process_left_half_written_counts_and_goes(home: Path) -> None:
    fill(home / f"{0:016x}", 0, 3 * MIB, "hvq-w1-2.save.new")
    assert bound(home, 4 * MIB) == [f"{0:016x}"]
    assert left(home) == [1, 2, 3, 4]


def test_a_hole_takes_no_room(home: Path) -> None:
    with (home / f"{4:016x}" / "hvq-w1-3.save").open("wb") as file:
        file.truncate(1 << 40)
    assert bound(home, 5 * MIB) == []


def test_what_is_not_ours_is_not_touched(home: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    fill(other, 0)
    (home / ("f" * 16)).symlink_to(other)
    fill(home / "precious", 0)
    (home / "0123456789abcde.save").write_bytes(b"x")
    (home / f"{3:016x}" / "note.txt").write_text("mine", encoding="utf-8")
    bound(home, 0)
    assert (other / "hvq-w1-1.save").exists()
    assert (home / "precious" / "hvq-w1-1.save").exists()
    assert (home / "0123456789abcde.save").exists()
    assert [path.name for path in (home / f"{3:016x}").iterdir()] == ["note.txt"]


def test_without_a_folder_there_is_nothing_to_do(tmp_path: Path) -> None:
    assert bound(tmp_path / "none") == []


STAND = SimpleNamespace(guests=[SimpleNamespace(name="hvq-w1-1")])


class Stub(warm.Warm):
    """Guests that come up without a VM: their set is made, or was there."""

    made = True

    def _make(self, _stand: object) -> None:
        self.held = bound(self.home, 0) == [f"{number:016x}" for number in range(5)]
        (self.folder / "hvq-w1-1.save").write_bytes(b"x" * MIB)
        for number in range(5):
            fill(self.home / f"{number:016x}", number)

    def _go_on(self, _stand: object, _then: object) -> None:
        if not self.made:
            message = "the restored guests are not all there"
            raise warm.WarmError(message)


@pytest.fixture
def _small(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVOCADO_HVQUAL_HOME", str(tmp_path))
    monkeypatch.setattr(warm_room, "MOST_BYTES", 4 * MIB)


@pytest.mark.usefixtures("_small")
def test_guests_that_come_up_hold_their_set_and_new_ones_take_the_room_of_the_oldest(home: Path) -> None:
    it = Stub("f" * 16)
    assert it.bring_up(STAND, print) == "booted, saved and restored"  # type: ignore[arg-type]
    assert it.held, "all others went, the one that was being made did not"
    assert left(home) == [2, 3, 4, int("f" * 16, 16)]


@pytest.mark.usefixtures("_small")
def test_guests_that_did_not_come_up_let_go_of_their_set(home: Path) -> None:
    it = Stub("f" * 16)
    it.made = False
    with pytest.raises(warm.WarmError):
        it.bring_up(STAND, print)  # type: ignore[arg-type]
    assert "f" * 16 in bound(home, 0)
    assert left(home) == []


def test_what_cannot_be_removed_stays_and_stops_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.unlink

    def unlink(path: Path, missing_ok: bool = False) -> None:
        if path.parent.name == f"{0:016x}":
            message = "read-only"
            raise PermissionError(message)
        real(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)
    assert bound(home, 3 * MIB) == [f"{number:016x}" for number in (1, 2)]
    assert left(home) == [0, 3, 4]


def test_the_sets_take_half_of_what_the_disk_has_for_them_at_most(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=6 * MIB))
    assert warm_room.room(home, 2 * MIB) == 4 * MIB
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=1 << 50))
    assert warm_room.room(home, 0) == warm_room.MOST_BYTES
    assert warm_room.room(home / "none", 0) == warm_room.MOST_BYTES
