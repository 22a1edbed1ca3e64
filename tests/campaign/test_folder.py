# SPDX-License-Identifier: GPL-2.0-or-later
"""The folder of a campaign: new or empty, marked, with room in it."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from avocado_hvqual.campaign import folder
from avocado_hvqual.campaign.journal import Journal
from avocado_hvqual.errors import PlanError

pytestmark = pytest.mark.usefixtures("home")
NOW = dt.datetime(2026, 11, 21, 4, 15, tzinfo=dt.timezone.utc)
HEADER = {
    "id": "c1",
    "profile": "smoke",
    "selection": True,
    "lab": True,
    "node": {"id": "n", "hostname": "n"},
    "command": "x",
    "versions": {},
}


def test_campaign_ids_sort_by_time_and_differ() -> None:
    first, second = folder.new_id(NOW, "smoke"), folder.new_id(NOW + dt.timedelta(seconds=1), "lab")
    assert first.startswith("20261121-041500-smoke-")
    assert first < second
    assert folder.new_id(NOW, "smoke") != first


def test_a_new_or_an_empty_folder_is_taken_and_marked(tmp_path: Path) -> None:
    made = folder.create(tmp_path / "deep" / "new", "c1")
    assert (made.path / folder.MARKER).read_text(encoding="utf-8") == "c1\n"
    (tmp_path / "empty").mkdir()
    assert folder.create(tmp_path / "empty", "c2").jobs.is_dir()


def test_a_folder_with_another_campaign_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    made = folder.create(tmp_path / "one", "c1")
    Journal.create(made.path, HEADER).close()
    before = sorted(made.path.rglob("*"))
    with pytest.raises(PlanError, match="already holds a campaign"):
        folder.create(tmp_path / "one", "c2")
    assert sorted(made.path.rglob("*")) == before
    assert (made.path / folder.MARKER).read_text(encoding="utf-8") == "c1\n"


def test_a_folder_with_anything_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious", encoding="utf-8")
    with pytest.raises(PlanError, match="not empty"):
        folder.create(tmp_path, "c1")


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(PlanError, match="cannot be made: Not a directory"):
        folder.create(tmp_path / "file" / "below", "c1")


def test_no_space_is_told_before_anything_runs_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder.shutil, "disk_usage", lambda _path: SimpleNamespace(free=5 * 2**20))
    with pytest.raises(PlanError, match="has 5 MiB free, a campaign needs 256 MiB"):
        folder.create(tmp_path / "new", "c1")
    assert not (tmp_path / "new").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small disk")
def test_a_disk_that_is_really_small_is_refused(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(small)], check=True)
    try:
        with pytest.raises(PlanError, match="MiB free"):
            folder.create(small / "new", "c1")
        assert not list(small.iterdir())
    finally:
        subprocess.run(["umount", str(small)], check=True)
