# SPDX-License-Identifier: GPL-2.0-or-later
"""What a campaign says while it runs, and how long it thinks that it takes."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from avocado_hvqual.campaign.durations import DEFAULT_SECONDS, Durations
from avocado_hvqual.campaign.progress import Progress, clock

pytestmark = pytest.mark.usefixtures("home")


def test_durations_are_medians_and_survive_a_broken_file(home: Path) -> None:
    durations = Durations()
    assert durations.expected("smoke", "a") == DEFAULT_SECONDS
    assert not durations.known("smoke", "a")
    for seconds in (3.0, 100.0, 4.0):
        durations.add("smoke", {"a": seconds})
    assert Durations().expected("smoke", "a") == 4.0
    assert not Durations().known("lab", "a"), "another profile is another scale"
    for broken in ("", "[]", '{"smoke a": "x"}', '{"smoke a": 3}'):
        (home / "durations.json").write_text(broken, encoding="utf-8")
        assert Durations().expected("smoke", "a") == DEFAULT_SECONDS


def test_durations_that_cannot_be_written_cost_nothing(tmp_path: Path) -> None:
    Durations(tmp_path / "no" / "such" / "file").add("smoke", {"a": 3.0})


def test_progress_says_plain_lines_and_keeps_them(tmp_path: Path) -> None:
    out = io.StringIO()
    with Progress("smoke", ["a", "b"], tmp_path / "campaign.log", out) as progress:
        progress.start("a")
        progress.end("a", "PASS", 5.0)
        progress.end("b", "FAIL", 65.0)
    assert out.getvalue().splitlines() == [
        "1/2 PASS        a (5 s), 15 s left",
        "2/2 FAIL        b (1 min 05 s)",
    ]
    assert len((tmp_path / "campaign.log").read_text(encoding="utf-8").splitlines()) == 2
    assert Durations().expected("smoke", "a") == 5.0
    assert not Durations().known("smoke", "b"), "a failed case may have ended early"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_on_a_terminal_is_live() -> None:
    out = Terminal()
    with Progress("smoke", ["a"], None, out) as progress:
        progress.start("a")
        progress.end("a", "PASS", 5.0)
    assert "1/1 PASS" in out.getvalue()
    assert "\x1b[" in out.getvalue()


@pytest.mark.parametrize(("seconds", "said"), [(0, "0 s"), (59.4, "59 s"), (61, "1 min 01 s"), (7500, "2 h 05 min")])
def test_durations_are_read_by_people(seconds: float, said: str) -> None:
    assert clock(seconds) == said
