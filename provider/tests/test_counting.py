# SPDX-License-Identifier: GPL-2.0-or-later
"""How fast each CPU of a guest counts, by the guest's own word."""

import shutil
import subprocess

import pytest

from provider.hvqual import counting
from provider.hvqual.counting import Count
from provider.hvqual.wait import until


def test_counts_become_a_rate_by_the_guests_clock():
    """Of all CPUs together; one that stands still makes it none, whatever the others do."""
    before = {0: Count(100, 10.0), 1: Count(100, 10.0)}
    assert counting.rate(before, {0: Count(300, 12.0), 1: Count(200, 11.0)}) == 200.0
    assert counting.rate(before, {0: Count(300, 12.0), 1: Count(100, 10.0)}) == 0
    assert counting.rate(before, {0: Count(300, 12.0)}) == 0
    assert counting.rate({}, {}) == 0


@pytest.mark.parametrize(
    "said", ["1 18", "x 1 2.0", "1 18 nan", "1 18 1e9", "1 18 x", "1 ² 2.0", f"1 {'9' * 5000} 2.0"]
)
def test_only_whole_lines_are_counts(said):
    """What is being written is not read, nor what a guest made up: never an accident."""
    assert counting.parsed(f"0 17 12.5\n{said}\n") == {0: Count(17, 12.5)}


def test_the_program_counts(tmp_path):
    """As the guest runs it."""
    perl = shutil.which("perl")
    if not perl:
        pytest.skip("perl is not installed")
    program, place = tmp_path / "count.pl", tmp_path / "out"
    program.write_text(counting.PROGRAM)
    with subprocess.Popen([perl, str(program), "3", str(place)]) as running:
        try:
            until(place.is_file, 10, "the first count")
            first = counting.parsed(place.read_text())[3]
            until(lambda: counting.parsed(place.read_text())[3].turns > first.turns, 10, "the next count")
            later = counting.parsed(place.read_text())[3]
        finally:
            running.kill()
    assert later.at >= first.at > 0
