# SPDX-License-Identifier: GPL-2.0-or-later
"""Silence becomes a host hang to the judge, a lost connection does not; seen with real processes that are stopped and killed."""

import json
import os
import signal
from dataclasses import replace

import pytest

from avocado_hvqual import exit_codes
from avocado_hvqual.journal_reading import read
from avocado_hvqual.loader import load_campaign
from avocado_hvqual.mirror import notes as notes_module
from avocado_hvqual.mirror import watching
from avocado_hvqual.model.finding import FindingKind, Severity
from avocado_hvqual.plugins.cli import dispatch
from tests import strategies as make
from tests.mirror.conftest import eventually, kinds, notes


def findings(folder, kind=FindingKind.HOST_HANG):
    return [one for one in make.judged(load_campaign(folder)).findings if one.kind is kind]


def heartbeat(folder):
    path = folder / "heartbeat.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


@pytest.fixture
def begun(tmp_path, writer, sending, watching):
    """A mirrored, watched campaign in the middle of a case: (its folder there, sender, watcher)."""
    there = tmp_path / "there"
    watcher = watching(there, "--give-up", "3600")
    sender = sending(writer.folder, there)
    writer.begin()
    eventually((there / writer.logdir / "observations.jsonl").exists, "the record")
    eventually(lambda: heartbeat(there), "the first heartbeat")
    return there, sender, watcher


def test_a_campaign_that_ends_well_is_watched_to_its_end(begun, writer):
    there, sender, watcher = begun
    writer.end()
    writer.finish()
    sender.stdin.write("finish\n")
    sender.stdin.flush()
    assert watcher.wait(40) == watching.ENDED
    assert kinds(there) == ["watching", "ended"]
    assert "the mirror is whole" in watcher.stdout.read()
    assert make.judged(load_campaign(there)).clean


def test_a_host_that_stands_still_is_a_critical_finding_and_stays_one(begun, writer):
    there, sender, watcher = begun
    os.kill(sender.pid, signal.SIGSTOP)
    eventually(lambda: "silent" in kinds(there), "the silence")
    (found,) = findings(there)
    assert (found.severity, found.case) == (Severity.CRITICAL, make.START)
    assert "and nothing since" in found.message
    os.kill(sender.pid, signal.SIGCONT)
    eventually(lambda: "heard" in kinds(there), "the return")
    assert notes(there)[-1]["how"] == "stood-still"
    (found,) = findings(there)
    assert "it stood still for" in found.message
    writer.end()
    writer.finish()
    sender.stdin.write("finish\n")
    sender.stdin.flush()
    assert watcher.wait(40) == watching.ENDED
    assert findings(there), "that the campaign ended well does not undo it"


def test_a_host_that_is_gone_is_a_critical_finding(tmp_path, writer, sending, watching):
    there = tmp_path / "there"
    said = tmp_path / "said"
    program = tmp_path / "tell"
    program.write_text(f'#!/bin/sh\ncat > {said}; echo "$1|$HVQUAL_MESSAGE" >> {said}\n', encoding="utf-8")
    program.chmod(0o755)
    watcher = watching(there, "--give-up", "4", "--notify-command", f"{program} '$(touch {tmp_path}/hole); a b'")
    sender = sending(writer.folder, there)
    writer.begin()
    eventually((there / writer.logdir / "observations.jsonl").exists, "the record")
    sender.kill()
    assert watcher.wait(40) == 51
    assert [kind for kind in kinds(there) if kind != "notify"] == ["watching", "silent"]
    (found,) = findings(there)
    assert found.case == make.START
    lines = said.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("Host hang: nothing was heard of the node")
    assert lines[1] == f"$(touch {tmp_path}/hole); a b|{lines[0]}"
    assert not (tmp_path / "hole").exists()


def test_a_lost_connection_is_no_hang(begun, writer):
    there, sender, _watcher = begun
    # No heartbeat can be written any more, as when a disk is full or a mount is away; the sender goes on all the while.
    (there / "heartbeat.json.new").mkdir()
    eventually(lambda: "silent" in kinds(there), "the silence")
    assert len(findings(there)) == 1, "as long as nobody knows better"
    (there / "heartbeat.json.new").rmdir()
    eventually(lambda: "heard" in kinds(there), "the return")
    assert notes(there)[-1]["how"] == "connection"
    assert sender.poll() is None
    assert findings(there) == []
    assert "connection was lost" in " ".join(load_campaign(there).notes)


def test_the_campaigns_death_is_no_hang_of_its_host(begun, writer):
    there, sender, watcher = begun
    sender.stdin.close()
    eventually(lambda: "left" in kinds(there), "the campaign's death")
    assert sender.wait(20) == 2
    assert "silent" not in kinds(there)
    assert findings(there) == []
    assert watcher.poll() is None, "a resumed campaign would go on into the same folder"


def judged_notes(folder, *lines):
    text = "".join(json.dumps({"wall": 1.0, **line}) + "\n" for line in lines)
    (folder / "watch.jsonl").write_text(text, encoding="utf-8")
    return load_campaign(folder)


SILENT = {"kind": "silent", "since": 1.0, "seconds": 30.0, "lines": 5, "case": make.START}
HEARD = {"kind": "heard", "seconds": 60.0, "how": "connection", "gap": 0.5}


@pytest.mark.parametrize(("how", "hangs"), [("connection", 0), ("new-process", 0), ("stood-still", 1), ("rebooted", 1)])
def test_what_each_return_means(tmp_path, how, hangs):
    folder = make.write_campaign(tmp_path)
    record = judged_notes(folder, SILENT, {**HEARD, "how": how})
    assert [event.kind for event in record.health] == ["host-hang"] * hangs
    assert len(record.notes) == 1 - hangs
    assert make.judged(record).clean is (hangs == 0)


def test_silence_of_which_nobody_knows_more_is_doubt_when_the_campaign_ended(tmp_path):
    record = judged_notes(make.write_campaign(tmp_path), SILENT)
    assert record.health == ()
    found = make.judged(record)
    assert [one.kind for one in found.findings] == [FindingKind.HEALTH_UNKNOWN]
    assert not found.clean


def test_silence_is_a_hang_when_the_campaign_never_ended(tmp_path):
    folder = make.write_campaign(tmp_path)
    path = folder / "journal.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:5]))
    assert [event.kind for event in judged_notes(folder, SILENT).health] == ["host-hang"]


def test_every_silence_counts(tmp_path):
    folder = make.write_campaign(tmp_path)
    stood = {**HEARD, "how": "stood-still"}
    record = judged_notes(folder, {"kind": "watching", "silence": 30}, SILENT, stood, SILENT, HEARD, SILENT, stood)
    assert len(record.health) == 2


@pytest.mark.parametrize(
    "line",
    [
        {"kind": "opinion"},
        {**SILENT, "more": 1},
        {key: value for key, value in SILENT.items() if key != "case"},
        {**SILENT, "seconds": "30"},
        {**SILENT, "lines": True},
        {**HEARD, "how": "well"},
        [],
        7,
    ],
)
def test_a_changed_note_is_damage_and_a_torn_one_is_not(tmp_path, line):
    folder = make.write_campaign(tmp_path)
    text = json.dumps({"wall": 1.0, **line} if isinstance(line, dict) else line)
    (folder / "watch.jsonl").write_text(f"{text}\n", encoding="utf-8")
    record = load_campaign(folder)
    assert record.damage[0].startswith("watch.jsonl:1: ")
    assert make.judged(record).verdict.value == "INCOMPLETE"
    (folder / "watch.jsonl").write_text(text, encoding="utf-8")
    assert load_campaign(folder).damage == ()


def test_an_announced_reboot_is_no_hang(tmp_path):
    folder = make.write_campaign(tmp_path)
    lines = list(read(folder).lines)
    judged_notes(folder, SILENT, {**HEARD, "how": "rebooted"})
    assert len(notes_module.heard(folder, lines).events) == 1
    lines[4] = replace(lines[4], kind="reboot-planned")
    assert notes_module.heard(folder, lines).events == ()


def test_what_cannot_be_noted_is_kept_and_told(tmp_path):
    said = []
    watch = watching.Watch(tmp_path, watching.Options(), said.append)
    (tmp_path / "watch.jsonl").mkdir()
    watch._note("watching", silence=3)
    watch._silent(3.0)
    assert [line.split(":")[0] for line in said] == [said[0].split(":")[0], "Host hang"]
    (tmp_path / "watch.jsonl").rmdir()
    watch._write_notes()
    assert kinds(tmp_path) == ["watching", "silent"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["/nowhere"], "no folder"),
        (["{folder}", "--silence", "0"], "no number of seconds"),
        (["{folder}", "--notify-command", "no-such-program x"], "no program here"),
        (["{folder}", "--notify-command", "'unbalanced"], "cannot be parted"),
    ],
)
def test_wrong_usage_is_one_sentence_and_2(tmp_path, capsys, words, said):
    assert dispatch(["watch", *(word.format(folder=tmp_path) for word in words)]) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_statuses_are_no_others():
    taken = {value for name, value in vars(exit_codes).items() if isinstance(value, int) and name.isupper()}
    taken |= set(exit_codes._CODES.values()) | {43, 44, 45, 46, 47} | set(range(1, 16))
    assert not taken & {watching.SILENT, watching.LEFT, watching.NOT_WHOLE}
