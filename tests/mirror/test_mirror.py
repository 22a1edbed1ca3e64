# SPDX-License-Identifier: GPL-2.0-or-later
"""A mirror over a path, with real processes: it is the same at the end, goes on where it was, and stops no campaign."""

import json
import os
import shutil
import signal
import time

import pytest

from avocado_hvqual.errors import HvqualError, JournalError
from avocado_hvqual.journal_reading import read
from avocado_hvqual.loader import load_campaign
from avocado_hvqual.mirror import files, mirror
from tests import strategies as make
from tests.mirror.conftest import eventually, same


def finish(process):
    process.stdin.write("finish\n")
    process.stdin.flush()
    status = process.wait(60)
    return status, json.loads(process.stdout.read().splitlines()[-1])


def line_of(process):
    return json.loads(process.stdout.readline())


def test_a_campaign_is_mirrored_while_it_runs_and_the_same_at_the_end(tmp_path, writer, sending):
    there = tmp_path / "there" / "deep"
    sender = sending(writer.folder, there)
    assert line_of(sender)["state"] == "streaming"
    writer.begin()
    eventually((there / writer.logdir / "observations.jsonl").exists, "the record of the test that runs")
    eventually(lambda: read(there).lines[-1].kind == "case-begin", "the journal of the case that runs")
    assert load_campaign(there).attempts[0].status is None
    writer.end()
    writer.finish()
    status, said = finish(sender)
    assert (status, said["state"], said["different"], said["asides"]) == (0, "verified", [], [])
    assert same(writer.folder, there)
    assert make.judged(load_campaign(there)) == make.judged(load_campaign(writer.folder))
    beat = json.loads((there / "heartbeat.json").read_text(encoding="utf-8"))
    assert (beat["state"], beat["journal_sha256"]) == ("ended", said["journal_sha256"])


def test_a_sender_that_was_killed_is_gone_on_with(tmp_path, writer, sending):
    there = tmp_path / "there"
    first = sending(writer.folder, there)
    writer.begin()
    eventually((there / writer.logdir / "observations.jsonl").exists, "the record")
    first.kill()
    first.wait()
    writer.end()
    writer.finish()
    status, said = finish(sending(writer.folder, there))
    assert (status, said["asides"]) == (0, [])
    assert same(writer.folder, there)


def test_what_was_changed_at_the_other_end_is_put_aside_and_sent_anew(tmp_path, writer, sending):
    there = tmp_path / "there"
    writer.begin()
    first = sending(writer.folder, there)
    eventually((there / writer.logdir / "observations.jsonl").exists, "the record")
    first.kill()
    first.wait()
    path = there / "journal.jsonl"
    forged = path.read_bytes().replace(b"production", b"Production")
    path.write_bytes(forged)
    writer.end()
    writer.finish()
    status, said = finish(sending(writer.folder, there))
    assert (status, said["asides"]) == (0, ["journal.jsonl.before-1"])
    assert same(writer.folder, there)
    assert (there / "journal.jsonl.before-1").read_bytes() == forged


def test_a_file_that_is_written_anew_is_the_same_at_the_end(tmp_path, writer, sending):
    there = tmp_path / "there"
    writer.begin()
    evidence = writer.folder / writer.logdir / "evidence" / "x.txt"
    evidence.write_text("first version", encoding="utf-8")
    sender = sending(writer.folder, there)
    eventually((there / writer.logdir / "evidence" / "x.txt").exists, "the evidence")
    with evidence.open("r+", encoding="utf-8") as file:
        file.write("other version")
    writer.end()
    writer.finish()
    status, said = finish(sender)
    assert (status, said["state"]) == (0, "verified")
    assert same(writer.folder, there)


def test_every_part_of_a_campaign_has_its_kernel_log_at_the_other_end(tmp_path, writer, sending):
    there = tmp_path / "there"
    writer.begin()
    logs = ["kernel.log", "kernel-2.log", "kernel-10.log"]
    for name in logs:
        (writer.folder / name).write_text(f"6,1,1,-;{name}\n", encoding="utf-8")
    sent = list(files.every(writer.folder))
    assert sent[:4] == ["journal.jsonl", *logs]
    sender = sending(writer.folder, there)
    for name in logs:
        eventually((there / name).exists, f"'{name}' before the end")
    writer.end()
    writer.finish()
    assert finish(sender)[0] == 0
    assert all((there / name).read_bytes() == (writer.folder / name).read_bytes() for name in logs)


def test_a_torn_journal_is_not_sent(tmp_path, writer, sending):
    there = tmp_path / "there"
    with (writer.folder / "journal.jsonl").open("ab") as file:
        file.write(b'{"torn')
    status, said = finish(sending(writer.folder, there))
    assert (status, said["state"]) == (0, "verified")
    assert read(there).torn == ""
    assert len(read(there).lines) == len(read(writer.folder).lines)


def test_the_campaigns_death_is_told_with_everything_sent(tmp_path, writer, sending):
    there = tmp_path / "there"
    sender = sending(writer.folder, there)
    assert line_of(sender)["state"] == "streaming"
    writer.begin()
    sender.stdin.close()
    assert sender.wait(60) == 2
    assert json.loads((there / "heartbeat.json").read_text(encoding="utf-8"))["state"] == "left"
    assert same(writer.folder, there)


@pytest.mark.parametrize("content", ["other\n", None])
def test_a_folder_of_somebody_else_is_refused_and_left(tmp_path, writer, content):
    there = tmp_path / "there"
    there.mkdir()
    (there / (".hvqual-mirror" if content else "letter.txt")).write_text(content or "dear", encoding="utf-8")
    before = sorted(there.iterdir())
    with pytest.raises(HvqualError, match=r"Nothing was started\.") as said:
        mirror.demand(str(there), "c-1")
    assert ("another campaign" in str(said.value)) is (content is not None)
    assert sorted(there.iterdir()) == before


def test_a_mount_that_cannot_be_written_is_told_beforehand():
    with pytest.raises(HvqualError, match="cannot be used"):
        mirror.demand("/proc/nothing/here", "c-1")


def told(writer):
    """Return the states of the mirror that stand in the journal."""
    return [line.data["state"] for line in read(writer.folder).lines if line.kind == "mirror"]


def test_a_mirror_goes_on_after_its_sender_was_killed(tmp_path, writer):
    there = tmp_path / "there"
    it = mirror.Mirror(str(there), writer.folder, "c-1")
    it.start()
    it.attach(writer.journal.append)
    # Its files are there a moment before the sender says that it streams.
    eventually(lambda: len(told(writer)) == 1, "the word that it streams")
    first = it._process.pid
    os.kill(first, signal.SIGKILL)
    eventually(lambda: it._process.pid != first, "another sender")
    writer.begin()
    eventually((there / writer.logdir / "observations.jsonl").exists, "the record")
    writer.end()
    eventually(lambda: len(told(writer)) == 3, "its return")
    it.detach()
    writer.finish()
    assert it.finish(), it.failures
    assert told(writer) == ["streaming", "lost", "streaming"]
    assert "was lost once" in load_campaign(writer.folder).notes[0]
    assert make.judged(load_campaign(writer.folder)).clean, "a mirror that was lost says nothing of the node"
    assert json.loads((writer.folder / "mirror.json").read_text(encoding="utf-8"))["state"] == "verified"
    assert it.words().startswith(f"Mirror: 3 files in '{there}' are the same")


def test_a_mirror_whose_other_end_hangs_does_not_hold_the_campaign_up(tmp_path, writer, monkeypatch):
    there = tmp_path / "there"
    it = mirror.Mirror(str(there), writer.folder, "c-1")
    it.start()
    it.attach(writer.journal.append)
    eventually((there / "journal.jsonl").exists, "the mirrored journal")
    children = (f"/proc/{it._process.pid}/task/{it._process.pid}/children",)
    receiver = int(open(children[0]).read().split()[0])  # noqa: SIM115, PTH123
    os.kill(receiver, signal.SIGSTOP)
    try:
        began = time.monotonic()
        for _ in range(200):
            writer.journal.append("problem", {"message": "x" * 3000, "where": "y"})
        assert time.monotonic() - began < 10
        it.detach()
        writer.finish()
        assert not it.finish(seconds=3)
        assert "is not known to be whole" in it.words()
    finally:
        os.kill(receiver, signal.SIGKILL)


def test_a_sender_that_cannot_be_begun_stops_nothing(tmp_path, writer, monkeypatch):
    it = mirror.Mirror(str(tmp_path / "there"), writer.folder, "c-1")
    monkeypatch.setattr(mirror.sys, "executable", "/no/such/python")
    it.start()
    it.attach(writer.journal.append)
    it.detach()
    writer.finish()
    assert not it.finish()
    assert "no sender could be begun" in it.words()
    assert [line.data["state"] for line in read(writer.folder).lines if line.kind == "mirror"] == ["lost"]


def test_a_mirror_that_ends_with_less_room_is_not_verified(tmp_path, writer):
    there = tmp_path / "there"
    it = mirror.Mirror(str(there), writer.folder, "c-1")
    it.start()
    eventually((there / "journal.jsonl").exists, "the mirrored journal")
    shutil.rmtree(there)
    there.write_text("a file where the folder was", encoding="utf-8")
    writer.finish()
    assert not it.finish(seconds=4)
    assert it.failures


@pytest.mark.parametrize("name", ["a.jsonl", "kernel.log", "x.bin", "journal.jsonl"])
def test_only_whole_lines_are_sent_before_the_end(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"one\n" + b"y" * 100_000)
    size = path.stat().st_size
    lines = name != "x.bin"
    assert files.sendable(path, size, last=False) == (4 if lines else size)
    assert files.sendable(path, size, last=True) == (4 if name == "journal.jsonl" else size)
    path.write_bytes(b"z" * 70_000)
    assert files.sendable(path, 70_000, last=False) == (0 if lines else 70_000)


def test_links_and_large_evidence_are_left(tmp_path, monkeypatch):
    folder = tmp_path / "c"
    make.write_campaign(folder)
    job = folder / "jobs" / "job-1" / "test-results"
    (job / "1-x" / "evidence").mkdir(parents=True)
    (job / "1-x" / "observations.jsonl").write_text("", encoding="utf-8")
    (job / "1-x" / "evidence" / "shadow").symlink_to("/etc/shadow")
    (job / "by-status").symlink_to(job)
    (folder / "jobs" / "latest").symlink_to(folder / "jobs" / "job-1")
    (job / "1-x" / "evidence" / "dump").write_bytes(b"x" * 100)
    found = list(files.every(folder))
    assert found == [
        "journal.jsonl",
        "jobs/job-1/test-results/1-x/observations.jsonl",
        "jobs/job-1/test-results/1-x/evidence/dump",
    ]
    monkeypatch.setattr(files, "LARGEST", 99)
    assert [files.too_large(folder / path) for path in found] == [False, False, True]


def test_a_mirror_without_a_journal_is_no_campaign(tmp_path):
    with pytest.raises(JournalError):
        load_campaign(tmp_path)
