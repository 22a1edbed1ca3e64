# SPDX-License-Identifier: GPL-2.0-or-later
"""What a campaign cannot go on with is one sentence, and nothing is written; a journal is cut at each byte."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from avocado_hvqual import exit_codes
from avocado_hvqual.campaign import continuing, journal
from avocado_hvqual.errors import HvqualError
from tests import scratch_vt
from tests.contract.resume.breaking import (
    CLOUD,
    FAIL,
    LABELS,
    ONCE,
    PASS,
    go,
)

pytestmark = [
    pytest.mark.contract,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: without the kernel log the host's health is unknown"),
]


def copied(stopped: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(stopped, tmp_path / "copy", symlinks=True))


def spoiled(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"selection":true', '"selection":false', 1), encoding="utf-8")


OTHER_NODE = """
from avocado_hvqual.campaign import facts
whole_node = facts.node
facts.node = lambda: {**whole_node(), %s}
"""
OTHER_LIMIT = """
from avocado_hvqual import catalog
from dataclasses import replace as changed
load = catalog.load
def other(*words):
    cases = load(*words)
    return {key: changed(one, planned=changed(one.planned, limits={"answer": "max <= 99 s"})) for key, one in cases.items()}
catalog.load = other
"""
GONE = """
from avocado_hvqual import catalog
load = catalog.load
catalog.load = lambda *words: {key: one for key, one in load(*words).items() if "once" not in str(key)}
"""


@pytest.mark.parametrize(
    ("seed", "said"),
    [
        (OTHER_NODE % "'id': 'hv-z'", "is the campaign of the node"),
        (OTHER_NODE % "'machine_id': 'anew'", "is the campaign of the installation"),
        (OTHER_LIMIT, "had the limit 'max <= 10 s' on 'answer' and has 'max <= 99 s'"),
        (GONE, f"There is no case '{ONCE}' any more"),
    ],
)
def test_what_a_campaign_cannot_go_on_with_is_one_sentence_and_nothing_is_written(
    home: scratch_vt.Scratch, stopped: Path, tmp_path: Path, seed: str, said: str
) -> None:
    folder = copied(stopped, tmp_path)
    before = (folder / "journal.jsonl").read_bytes()
    for verb in (["resume"], ["rerun", "--failed"]):
        done = go(home, LABELS, verb[0], str(folder), *verb[1:], seed=seed)
        assert (done.returncode, said in done.stderr) == (exit_codes.USAGE, True), done.stdout + done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert (folder / "journal.jsonl").read_bytes() == before


def test_a_damaged_journal_and_one_that_is_written_are_left_alone(
    home: scratch_vt.Scratch, stopped: Path, tmp_path: Path
) -> None:
    folder = copied(stopped, tmp_path)
    with journal.Journal.open(folder):
        done = go(home, LABELS, "resume", str(folder))
    assert (done.returncode, "is being written by another process" in done.stderr) == (2, True), done.stderr
    spoiled(folder / "journal.jsonl")
    before = (folder / "journal.jsonl").read_bytes()
    done = go(home, LABELS, "resume", str(folder))
    assert (done.returncode, "journal.jsonl:1: its hash does not match" in done.stderr) == (2, True), done.stderr
    assert (folder / "journal.jsonl").read_bytes() == before


def test_a_phase_that_was_never_begun_is_not_tried_again(
    home: scratch_vt.Scratch, stopped: Path, tmp_path: Path
) -> None:
    done = go(home, LABELS, "rerun", str(copied(stopped, tmp_path)), "--case", "scratch.cloud")
    assert (done.returncode, "never came to the phase cloud" in done.stderr) == (2, True), done.stderr


def test_at_each_byte_that_a_power_cut_leaves_the_rest_is_known(stopped: Path, tmp_path: Path) -> None:
    """A real journal, with the last words of its dead process: cut anywhere, it is gone on with, and nothing whole is run again."""
    folder = copied(stopped, tmp_path)
    path = folder / "journal.jsonl"
    with journal.Journal.open(folder) as writer:
        continuing.close(continuing.read(folder), writer, lambda _line: None)
    content, lines = path.read_bytes(), journal.read(folder).lines
    assert [line.data["case"] for line in lines if line.kind == "health-state"] == [FAIL]
    ends = [place + 1 for place, byte in enumerate(content) if byte == ord("\n")]
    for size in range(len(content), -1, -1):
        os.truncate(path, size)
        kept = lines[: sum(end <= size for end in ends)]
        if not any(line.kind == "plan" for line in kept):
            with pytest.raises(HvqualError):
                continuing.read(folder)
            continue
        left = continuing.missing(continuing.read(folder).record, 1)
        watched = {line.data["case"] for line in kept if line.kind == "health-state"}
        assert left == ({FAIL, ONCE, PASS, CLOUD} - watched, ()), size
    for size in (ends[-1] - 1, ends[-2] + 1, ends[2] + 20):
        path.write_bytes(content[:size])
        with journal.Journal.open(folder) as writer:
            writer.append("continued", {"verb": "resume", "command": "x", "cases": []})
        again = journal.read(folder)
        assert (again.damage, again.torn, again.lines[-1].kind) == ((), "", "continued")
