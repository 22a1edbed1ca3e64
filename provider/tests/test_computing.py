# SPDX-License-Identifier: GPL-2.0-or-later
"""The work of guests: the program itself runs here, and what it computes is what was foretold."""

import shutil
import subprocess
from pathlib import Path

import pytest
from avocado.core.exceptions import TestFail

from provider.hvqual import computing
from provider.hvqual.computing import Progress
from provider.hvqual.record import Record
from provider.hvqual.wait import until


class Guest:
    """Tells one answer after the other, the last one for ever."""

    name = "vm1"

    def __init__(self, *answers):
        self.answers = list(answers)

    def ask(self, _command):
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def slowly(cpu, turns):
    """Return what the job of *cpu* computes, step by step."""
    value = computing.SEED + cpu
    for _ in range(turns * computing.STEPS):
        value = (value * computing.FACTOR + computing.ADDEND) & computing.MASK
    return value


def line(cpu, turns, bad=0, where=None, value=None):
    """Return the line of a job that is right unless told otherwise."""
    right = computing.expected(cpu, turns)
    return f"{cpu} {turns} {right if value is None else value} {bad} {cpu if where is None else where}\n"


@pytest.mark.parametrize("cpu", [0, 1, 63])
def test_what_is_foretold_is_what_is_computed_step_by_step(cpu):
    assert [computing.expected(cpu, turns) for turns in range(4)] == [slowly(cpu, turns) for turns in range(4)]


@pytest.mark.skipif(not shutil.which("perl"), reason="no perl here")
def test_the_program_computes_what_is_foretold(tmp_path):
    place = tmp_path / "out"
    with subprocess.Popen(["perl", "-e", computing.PROGRAM, "3", str(place), "100"]) as program:
        try:
            # Beyond its memory, so that what it stored was compared at least once.
            told = until(lambda: far(place), 60, "the program to come far")
        finally:
            program.kill()
    assert computing.wrong_with(told) == []
    assert told[3].bad == 0


@pytest.mark.skipif(not shutil.which("perl"), reason="no perl here")
def test_a_job_takes_its_share_and_computes_the_same(tmp_path):
    """A fifth of a CPU, held against a job beside it that takes all it can get."""
    places = {share: tmp_path / str(share) for share in (20, 100)}
    jobs = [
        subprocess.Popen(["perl", "-e", computing.PROGRAM, "3", str(place), str(share)])
        for share, place in places.items()
    ]
    try:
        until(lambda: far(places[100]), 60, "the program to come far")
        told = {share: computing.parsed(place.read_text()) for share, place in places.items()}
    finally:
        for job in jobs:
            job.kill()
            job.wait()
    assert 0 < told[20][3].turns < 0.6 * told[100][3].turns
    assert computing.wrong_with(told[20]) == []


def far(place: Path):
    """Return what the program says once it has compared what it stored."""
    found = computing.parsed(place.read_text()) if place.exists() else {}
    return found if found and found[3].turns > 8192 else None


def test_a_wrong_result_and_a_changed_memory_are_told():
    wrong = computing.wrong_with(
        {1: Progress(5, computing.expected(1, 5) ^ 1, 0, 1), 2: Progress(5, computing.expected(2, 5), 3, 2)}
    )
    assert len(wrong) == 2
    assert "CPU 1" in wrong[0]
    assert "3 values" in wrong[1]


@pytest.mark.parametrize("said", ["1 22", "nonsense", "1 2 3 4 x", "1 2 3 4 --5", "1 2 ² 4 5", f"1 {'9' * 5000} 3 4 5"])
def test_what_is_no_whole_line_is_no_progress(said):
    """Half of one, or what a guest made up: not read, and never an accident."""
    assert computing.parsed(f"{said}\n{line(1, 16)}") == {1: Progress(16, computing.expected(1, 16), 0, 1)}


def test_jobs_that_go_on_are_right(tmp_path):
    record = Record(tmp_path)
    computing.advance(Guest(line(0, 16) + line(1, 16), line(0, 32) + line(1, 48)), record, [0, 1])
    assert record.samples["computed_turns"] == [(16, "count"), (32, "count")]
    assert record.samples["computing_right"] == [(True, "bool")]


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (line(0, 32, value=7), "instead of"),
        (line(0, 32, bad=1), "memory changed"),
        (line(0, 32, where=1), "ran on CPU 1"),
    ],
)
def test_a_job_that_goes_wrong_fails(tmp_path, now, said):
    record = Record(tmp_path)
    with pytest.raises(TestFail, match=said):
        computing.advance(Guest(line(0, 16), now), record, [0])
    assert record.samples["computing_right"] == [(False, "bool")]


def test_a_job_that_was_moved_may_run_anywhere(tmp_path):
    record = Record(tmp_path)
    computing.advance(Guest(line(2, 16), line(2, 32, where=0)), record, [2], moved=[2])
    assert record.samples["computing_right"] == [(True, "bool")]


@pytest.mark.parametrize("stands", [line(0, 16), ""])
def test_a_job_that_stalls_or_never_began_fails(tmp_path, stands, monkeypatch):
    monkeypatch.setattr(computing, "PATIENCE", 0.1)
    record = Record(tmp_path)
    with pytest.raises(TestFail, match=r"CPUs \[0\] of 'vm1' compute nothing"):
        computing.advance(Guest(stands), record, [0])
    assert record.samples["computed_turns"] == [(0, "count")]
