# SPDX-License-Identifier: GPL-2.0-or-later
"""Decision 17: nothing that reached the disk is lost, and whatever was changed is named by its line."""

import errno
import json
import os
import threading
from pathlib import Path

import jsonschema
import pytest

from avocado_hvqual import journal_kinds
from avocado_hvqual.campaign.journal import FILE, TORN, Journal, read
from avocado_hvqual.errors import JournalError
from avocado_hvqual.journal_reading import canonical, digest
from tests.strategies import planned, row

HEADER = {
    "id": "c-1",
    "profile": "smoke",
    "selection": True,
    "lab": True,
    "node": {"id": "n", "hostname": "h"},
    "command": "x",
    "versions": {},
}
EXAMPLES = {
    "campaign": HEADER,
    "plan": {"profile": "smoke", "cases": [planned().to_json()], "required": [row().to_json()]},
    "phase-begin": {"phase": "cloud"},
    "job-begin": {"phase": "cloud", "vt_type": "qemu", "job_dir": "job-1"},
    "case-begin": {"case": "a:b:none", "logdir": None},
    "case-end": {"case": "a", "status": "PASS", "fail_reason": "", "fail_class": "", "logdir": None, "time": 1},
    "health": {"case": None, "events": [{"kind": "host-log", "message": "m", "evidence": ""}]},
    "health-state": {"case": None, "state": "known", "reason": ""},
    "node-state": {"case": None, "before": "a", "after": None, "differences": []},
    "gate": {"phase": "cloud", "passed": True, "reason": ""},
    "gate-override": {"phase": "cloud", "reason": "the switch is known to be broken"},
    "alarm": {
        "case": None,
        "kind": "host-panic",
        "severity": "critical",
        "message": "m",
        "fingerprint": "0123456789ab",
        "told": ["command"],
        "problems": [],
    },
    "stop": {"reason": "a critical finding"},
    "evidence": {"path": "kernel.log", "size": 7, "sha256": "0" * 64},
    "parameter": {"name": "hv_x", "value": "1", "profile_value": "2", "case": None},
    "reboot-planned": {"reason": "new kernel"},
    "continued": {"verb": "resume", "command": "avocado hvqual resume", "cases": ["a:b:none"]},
    "build": {"versions": {"qemu": "7.2"}},
    "mirror": {"state": "lost", "uri": "/mnt/mirror", "reason": "it went away"},
    "problem": {"message": "disk full", "where": "hook"},
    "campaign-end": {"status": "finished"},
}
SCHEMA = json.loads(
    Path(journal_kinds.__file__).with_name("schemas").joinpath("journal.json").read_text(encoding="utf-8")
)


@pytest.fixture
def folder(tmp_path):
    with Journal.create(tmp_path, HEADER) as journal:
        for number in range(5):
            journal.append("problem", {"message": f"number {number}", "where": "test"})
        journal.append("campaign-end", {"status": "finished"})
    return tmp_path


def rewritten(folder, change):
    path = folder / FILE
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    change(lines)
    path.write_text("".join(lines), encoding="utf-8")
    return read(folder)


def test_what_was_written_is_read(folder):
    reading = read(folder)
    assert (len(reading.lines), reading.damage, reading.torn) == (7, (), "")
    assert reading.lines[2].data == {"message": "number 1", "where": "test"}


def flip(lines):
    lines[3] = lines[3].replace("number 2", "number 7")


def double(lines):
    lines.insert(3, lines[3])


def remove(lines):
    del lines[3]


def swap(lines):
    lines[3], lines[4] = lines[4], lines[3]


def respell(lines):
    lines[3] = lines[3].replace('{"boot_id"', '{ "boot_id"')


def blank(lines):
    lines[3] = "\n"


def deepen(lines):
    lines[3] = "[" * 100_000 + "\n"


def twice(lines):
    lines[3] = lines[3].replace('"data":{', '"data":{"message":"other","where":"test"},"data":{', 1)


@pytest.mark.parametrize(
    "change", [flip, double, remove, swap, respell, blank, deepen, twice], ids=lambda change: change.__name__
)
def test_a_change_is_named_by_its_line_and_nothing_after_it_believed(folder, change):
    reading = rewritten(folder, change)
    place = 5 if change is double else 4
    assert reading.damage[0].startswith(f"journal.jsonl:{place}:")
    assert len(reading.lines) == place - 1


def test_a_line_that_was_forged_with_its_hash_breaks_the_next_one(folder):
    def forge(lines):
        line = json.loads(lines[3])
        line["data"]["message"] = "all is well"
        lines[3] = canonical({**line, "hash": digest(line)}) + "\n"

    assert rewritten(folder, forge).damage[0].startswith("journal.jsonl:5: it does not follow")


def test_every_single_flipped_byte_is_noticed(folder):
    path = folder / FILE
    content = path.read_bytes()
    for place in range(0, len(content), 7):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert read(folder).damage or read(folder).torn, place


def test_the_first_line_cannot_be_left_out(folder):
    assert rewritten(folder, lambda lines: lines.pop(0)).damage


@pytest.mark.parametrize("cut", range(1, 40, 7))
def test_a_torn_tail_is_noted_kept_and_continued_behind(folder, cut):
    path = folder / FILE
    content = path.read_bytes()
    path.write_bytes(content[:-cut])
    reading = read(folder)
    assert (len(reading.lines), reading.damage, bool(reading.torn)) == (6, (), True)
    with Journal.open(folder) as journal:
        journal.append("campaign-end", {"status": "interrupted"})
    again = read(folder)
    assert (len(again.lines), again.damage, again.torn) == (7, (), "")
    assert (folder / TORN).read_text(encoding="utf-8").rstrip("\n") == reading.torn


def test_a_damaged_journal_is_not_continued(folder):
    rewritten(folder, flip)
    with pytest.raises(JournalError, match=r"journal\.jsonl:4: its hash"):
        Journal.open(folder)


def test_a_second_journal_in_one_folder_is_refused(folder):
    with pytest.raises(JournalError, match="holds no campaign yet"):
        Journal.create(folder, HEADER)


def test_a_second_writer_is_refused(folder):
    with Journal.open(folder), pytest.raises(JournalError, match="another process"):
        Journal.open(folder)


def test_a_folder_without_a_journal_is_told(tmp_path):
    for act in (read, Journal.open):
        with pytest.raises(JournalError, match="folder of a campaign"):
            act(tmp_path)


def test_a_full_disk_is_told_and_leaves_whole_lines(folder, monkeypatch):
    written = os.write

    def full(descriptor, data):
        if len(data) > 20:
            return written(descriptor, data[:20])
        raise OSError(errno.ENOSPC, "No space left on device")

    with Journal.open(folder) as journal:
        monkeypatch.setattr(os, "write", full)
        with pytest.raises(JournalError, match="No space left"):
            journal.append("problem", {"message": "x" * 100, "where": "y"})
        monkeypatch.setattr(os, "write", written)
        journal.append("problem", {"message": "after", "where": "y"})
    reading = read(folder)
    assert (len(reading.lines), reading.damage, reading.torn) == (8, (), "")


def test_each_line_is_on_disk_before_the_writer_goes_on(folder, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", synced.append)
    with Journal.open(folder) as journal:
        journal.append("problem", {"message": "m", "where": "w"})
        assert synced == [journal._descriptor]


def test_a_closed_journal_takes_no_line(folder):
    journal = Journal.open(folder)
    journal.close()
    with pytest.raises(JournalError):
        journal.append("problem", {"message": "m", "where": "w"})


def test_threads_do_not_break_the_chain(tmp_path):
    with Journal.create(tmp_path, HEADER) as journal:

        def work():
            for _ in range(20):
                journal.append("problem", {"message": "m", "where": "w"})

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    reading = read(tmp_path)
    assert (len(reading.lines), reading.damage) == (81, ())


def test_text_that_is_no_unicode_goes_there_and_back(tmp_path):
    with Journal.create(tmp_path, HEADER) as journal:
        journal.append("problem", {"message": "\udcff\x1b[31m\u202e", "where": "w"})
    assert read(tmp_path).lines[1].data["message"] == "\udcff\x1b[31m\u202e"


@pytest.mark.parametrize(
    "data", [{"message": float("nan"), "where": "w"}, {"message": 1, "where": "w"}, {"message": "m"}, []]
)
def test_wrong_data_is_refused_and_nothing_written(folder, data):
    before = (folder / FILE).read_bytes()
    with Journal.open(folder) as journal, pytest.raises(JournalError, match="Nothing was written"):
        journal.append("problem", data)
    assert (folder / FILE).read_bytes() == before


def test_every_kind_has_an_example_and_a_schema():
    published = {variant["properties"]["kind"]["const"] for variant in SCHEMA["oneOf"]}
    assert set(EXAMPLES) == set(journal_kinds.FIELDS) == published


@pytest.mark.parametrize("kind", EXAMPLES)
def test_code_and_published_schema_agree(tmp_path, kind):
    """What the writer takes fits the schema; each field left out, added or of another type is refused by both."""
    with Journal.create(tmp_path, HEADER) as journal:
        if kind != "campaign":
            journal.append(kind, EXAMPLES[kind])
    line = json.loads((tmp_path / FILE).read_text(encoding="utf-8").splitlines()[-1])
    validator = jsonschema.Draft7Validator(SCHEMA)
    validator.validate(line)
    data = EXAMPLES[kind]
    broken = [{**data, "more": 1}, {**data, **dict.fromkeys(data, object)}]
    broken += [{name: value for name, value in data.items() if name != left} for left in data]
    broken += [{**data, name: [[]] if isinstance(value, dict) else {"x": 1}} for name, value in data.items()]
    for wrong in broken:
        assert journal_kinds.wrong_with(kind, wrong), wrong
        wrong.pop("unused", None)
        assert not validator.is_valid({**line, "data": wrong}), wrong


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("health", {"case": None, "events": [{"kind": "nonsense", "message": "", "evidence": ""}]}),
        ("health", {"case": None, "events": ["x"]}),
        ("health-state", {"case": None, "state": "fine", "reason": ""}),
        ("campaign-end", {"status": "ok"}),
        ("gate", {"phase": "later", "passed": True, "reason": ""}),
        ("case-end", {**EXAMPLES["case-end"], "time": True}),
        ("unheard-of", {}),
    ],
)
def test_values_outside_a_closed_set_are_refused(kind, data):
    assert journal_kinds.wrong_with(kind, data)
