# SPDX-License-Identifier: GPL-2.0-or-later
"""What is asked of snapshots and saved guests, without a guest: the answers that are held against each other, and the undo."""

from __future__ import annotations

import json
import subprocess
from types import SimpleNamespace

import pytest
from avocado.core.exceptions import TestError, TestFail

from provider.hvqual import contents, disk_files, undo, undo_actions
from provider.hvqual.domain_xml import Disk
from provider.hvqual.heartbeat import SERIAL, Beat
from provider.hvqual.libvirt_truth import Event
from provider.hvqual.operations import external, saving, snapshots
from provider.hvqual.record import Record
from provider.tests.support import lines

HELD = "memory=aa\nvda=bb\nvdb=cc\nprocess=12/345\n"
BLKLIST = " Target   Source\n---------------------\n vda      /i/hvq-a.raw.first\n vdb      /i/hvq a.raw\n\n"


@pytest.fixture
def record(tmp_path):
    """A record in a folder of its own."""
    folder = tmp_path / "record"
    folder.mkdir()
    return Record(folder)


@pytest.fixture
def expect(record):
    """Expectations that only record."""
    return SimpleNamespace(record=record)


class Guest:
    """A guest that answers one text and was heard at these moments."""

    name = "hvq-1-1"
    wanted = SimpleNamespace(ready_timeout=0.2)

    def __init__(self, answer="", beats=()):
        self.answer = answer
        self.witness = SimpleNamespace(observer=self, ready=lambda since, _timeout: self.beats("", SERIAL, since)[0])
        self.heard = list(beats)

    def ask(self, command):
        assert "\n" not in command, "a session is asked line by line"
        return self.answer

    def beats(self, _name, channel, since=0.0):
        assert channel == SERIAL
        return [beat for beat in self.heard if beat.at > since]


def beat(at, seq, boot_id="one"):
    return Beat(at, boot_id, seq, seq / 10)


class TestContents:
    def test_what_the_guest_tells_is_read_whatever_its_session_echoes(self):
        assert contents.parse("echo bWVt= | sh\r\n" + HELD, "g")["vdb"] == "cc"

    @pytest.mark.parametrize("left_out", ["memory", "process", "vd"])
    def test_silence_about_anything_is_an_error(self, left_out):
        text = "\n".join(line for line in HELD.splitlines() if not line.startswith(left_out))
        with pytest.raises(TestError, match="did not tell"):
            contents.parse(text, "g")

    def test_content_that_was_not_laid_is_an_error(self):
        with pytest.raises(TestError, match="has no process"):
            contents.renew(Guest(HELD.replace("12/345", "gone")))
        with pytest.raises(TestError, match="has no vdb"):
            contents.renew(Guest(HELD.replace("cc", "unreadable")))

    def test_each_difference_is_named_also_a_disk_that_went(self):
        wanted = contents.parse(HELD, "g")
        found = {**wanted, "memory": "zz"}
        del found["vdb"]
        assert contents.differences(wanted, found) == ["memory", "vdb"]
        assert contents.differences(wanted, dict(wanted)) == []


class TestHolds:
    def test_the_same_content_is_observed_as_such(self, expect):
        snapshots.holds(Guest(HELD), expect, contents.parse(HELD, "g"))
        assert dict(expect.record.samples) == {
            "snapshot_disk": [(True, "bool")],
            "snapshot_memory": [(True, "bool")],
            "snapshot_process": [(True, "bool")],
        }

    @pytest.mark.parametrize(
        ("old", "new", "name"),
        [("cc", "dd", "snapshot_disk"), ("aa", "dd", "snapshot_memory"), ("12/345", "gone", "snapshot_process")],
    )
    def test_other_content_is_lost_data(self, expect, old, new, name):
        with pytest.raises(TestFail, match="does not hold what it held"):
            snapshots.holds(Guest(HELD.replace(old, new)), expect, contents.parse(HELD, "g"))
        assert expect.record.samples[name] == [(False, "bool")]
        assert lines(expect.record.folder)[-1]["what"] == "data-loss"

    def test_without_memory_only_disks_count(self, expect):
        snapshots.holds(Guest(HELD.replace("aa", "dd")), expect, contents.parse(HELD, "g"), memory=False)
        assert list(expect.record.samples) == ["snapshot_disk"]


class TestIsAt:
    MOMENT = snapshots.Moment({}, "one", 40, 45)

    @pytest.mark.parametrize("seq", [41, 45, 60])
    def test_a_guest_that_goes_on_at_the_moment_is_there(self, expect, seq):
        snapshots.is_at(Guest(beats=[beat(1, 90), beat(2, seq)]), expect, self.MOMENT, 1.0, 1.5)
        assert expect.record.samples["revert_time"] == [(1.0, "s")]

    @pytest.mark.parametrize("first", [beat(2, 91), beat(2, 12), beat(2, 41, "another")])
    def test_a_guest_that_goes_on_or_boots_or_is_elsewhere_was_not_reverted(self, expect, first):
        with pytest.raises(TestFail, match="was not reverted though libvirt said so"):
            snapshots.is_at(Guest(beats=[beat(1, 90), first]), expect, self.MOMENT, 1.0, 1.5)


class TestSome:
    def test_the_seed_decides_and_each_revert_is_held_to_its_own_content(self, expect, monkeypatch):
        done, number = [], iter(range(1000))
        monkeypatch.setattr(contents, "renew", lambda _guest: {"memory": str(next(number))})
        for name in ("take", "revert", "delete"):
            monkeypatch.setattr(
                snapshots, name, lambda *args, name=name: done.append((name, *args[2:])) or (args[3:] if args else ())
            )
        wanted = SimpleNamespace(snapshots=4, reverts=8, seed="")
        snapshots.some(None, expect, wanted, "s/1")
        first = list(done)
        assert next(entry for entry in first if entry[1] == "number-2")[3] == "number-1"
        reverts = [(entry[1], entry[2][0]["memory"]) for entry in first if entry[0] == "revert"]
        assert [name for name, _ in reverts] == [f"number-{int(held) + 1}" for _, held in reverts]
        assert all(one != other for one, other in zip(reverts, reverts[1:]))
        assert reverts[0][0] != "number-4"
        assert sorted(entry[1] for entry in first if entry[0] == "delete") == [f"number-{n}" for n in range(1, 5)]
        done.clear()
        snapshots.some(None, expect, wanted, "s/1")
        assert [entry[1] for entry in done if entry[0] == "revert"] == [name for name, _ in reverts]


class TestDiskFiles:
    @pytest.fixture
    def disks(self, tmp_path):
        """A raw disk and an overlay over it with a snapshot in it."""
        base, overlay = tmp_path / "hvq-1.raw", tmp_path / "hvq-1.raw.first"
        base.write_bytes(bytes(8 << 20))
        make = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(base), "-F", "raw", str(overlay)]
        subprocess.run(make, check=True)
        subprocess.run(["qemu-img", "snapshot", "-c", "one", str(overlay)], check=True)
        return base, overlay

    def test_chain_and_snapshots_are_those_of_the_headers(self, disks):
        base, overlay = disks
        assert disk_files.chain(str(overlay)) == [str(overlay), str(base)]
        assert disk_files.chain(str(base)) == [str(base)]
        assert disk_files.chain(f"{base}.none") == []
        assert disk_files.snapshot_table(str(overlay)) == {"one": 0}
        assert disk_files.snapshot_table(str(base)) == {}

    def test_what_is_no_disk_is_an_error(self, disks):
        base, overlay = disks
        base.unlink()
        with pytest.raises(TestError, match="qemu-img cannot read"):
            disk_files.chain(str(overlay))

    def test_content_marks_are_where_the_guest_writes_them(self, disks):
        spec = SimpleNamespace(disks=[Disk(str(disks[0]), 8)])
        before = disk_files.content_marks(spec)
        with disks[0].open("r+b") as file:
            file.seek(contents.OFFSET + contents.LENGTH)
            file.write(b"x")
            file.flush()
            assert disk_files.content_marks(spec) == before
            file.seek(contents.OFFSET)
            file.write(b"x")
        assert disk_files.content_marks(spec) != before

    def test_block_list_of_virsh(self):
        assert disk_files.parse_blklist(BLKLIST) == {"vda": "/i/hvq-a.raw.first", "vdb": "/i/hvq a.raw"}
        assert disk_files.parse_blklist("") == {}


class TestFiles:
    def test_every_file_of_a_snapshot_is_ours_by_its_name(self):
        guest = SimpleNamespace(
            spec=SimpleNamespace(disk="/i/hvq-1.raw", disks=[Disk("/i/hvq-1.raw", 8), Disk("/i/hvq-2.raw", 8)])
        )
        files = external.Files(guest, "first")
        assert files.overlays == ("/i/hvq-1.raw.first", "/i/hvq-2.raw.first")
        assert files.memory not in files.overlays


class TestTimeOff:
    @staticmethod
    def events(*told):
        return [Event(at, "g", event, "") for at, event in told]

    def test_from_the_last_pause_to_the_resumption_after_it(self):
        told = self.events(
            (1, "Suspended"), (2, "Resumed"), (5, "Suspended"), (6, "Stopped"), (8, "Started"), (9, "Resumed")
        )
        assert saving.time_off(told) == 4

    @pytest.mark.parametrize("told", [[], [(5, "Suspended")], [(1, "Resumed"), (5, "Suspended")]])
    def test_a_guest_that_did_not_resume_has_none(self, told):
        assert saving.time_off(self.events(*told)) == 0.0


class TestUndo:
    def test_remove_overlays_takes_what_libvirt_named_by_a_time_and_nothing_else(self, tmp_path):
        log = undo.UndoLog(tmp_path / "home", "local")
        kept = [tmp_path / name for name in ("hvq-1.raw", "hvq-1.raw.first", "hvq-11.123", "hvq-1.12a")]
        made = [tmp_path / "hvq-1.1700000000", tmp_path / "hvq-1.1700000001"]
        for path in (*kept, *made):
            path.write_text("x")
        entry = log.record("remove_overlays", path=str(kept[0]))
        told = json.loads(entry.path.read_text())
        entry.path.write_text(json.dumps({**told, "owner": {**told["owner"], "start": 1}}))
        assert [outcome.status for outcome in log.replay()] == ["restored"]
        assert ([path.exists() for path in kept], [path.exists() for path in made]) == ([True] * 4, [False] * 2)
        assert undo_actions.run("remove_overlays", {"path": str(kept[0])}, tmp_path, same_boot=True)[0] == "gone"

    def test_overlays_of_what_is_not_ours_are_left_alone(self, tmp_path):
        log = undo.UndoLog(tmp_path / "home", "local")
        with pytest.raises(undo.UndoError, match="is not ours"):
            log.record("remove_overlays", path="/var/lib/libvirt/images/theirs.raw")
