# SPDX-License-Identifier: GPL-2.0-or-later
"""When a huge page is kept: from the guests' last end on, until the test has counted or failed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from avocado_hvqual.faults import acts_pages


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Record lines as a test does."""
    monkeypatch.setenv(acts_pages.RESULTS, str(tmp_path))
    file = tmp_path / "1-case" / "observations.jsonl"
    file.parent.mkdir()

    def more(**line: str) -> None:
        with file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line, sort_keys=True) + "\n")

    return more


def test_it_is_kept_from_the_last_end_of_the_guests_on(told) -> None:
    """A guest that is destroyed and started again on its way is not at its end."""
    assert not acts_pages._ending()
    for name in ("destroy", "start", "compare allocation"):
        for phase in ("begin", "end"):
            told(kind="step", name=name, phase=phase)
        assert not acts_pages._ending(), name
    told(kind="step", name="destroy", phase="begin")
    assert acts_pages._ending()


@pytest.mark.parametrize(
    "line", [{"kind": "observation", "name": "pages_leaked"}, {"kind": "problem", "what": "leftover"}]
)
def test_it_is_kept_until_the_test_has_counted_or_failed(told, line: dict[str, str]) -> None:
    """The test puts the pool back after that, and cannot while a page is held."""
    told(kind="observation", name="pages_held")
    assert not acts_pages._counted()
    told(**line)
    assert acts_pages._counted()


@pytest.mark.parametrize(("meanwhile", "left"), [("never", "always"), ("madvise", "madvise")])
def test_huge_pages_that_go_off_come_back_unless_the_test_sets_them_itself(
    told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, meanwhile: str, left: str
) -> None:
    """The node is as it was after a test that only looks at them, too."""
    setting = tmp_path / "enabled"
    setting.write_text("[always] madvise never\n", encoding="ascii")
    monkeypatch.setattr(acts_pages, "THP", setting)

    def fails(*_words: object) -> None:
        assert setting.read_text(encoding="ascii") == "never"
        told(kind="problem", what="wrong-result")
        setting.write_text(f"[{meanwhile}]", encoding="ascii")
        assert acts_pages._failed()

    monkeypatch.setattr(acts_pages, "until", fails)
    acts_pages.thp_off()
    assert setting.read_text(encoding="ascii").strip("[]") == left
