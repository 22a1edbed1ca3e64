# SPDX-License-Identifier: GPL-2.0-or-later
"""Room for the guests' disks, before anything runs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from avocado_hvqual.campaign import room
from avocado_hvqual.errors import PlanError


def cases(folder: Path, **more: str) -> Any:
    params = {"hv_disk_folder": str(folder), "hv_disk_mib": "64", **more}
    return [SimpleNamespace(planned=SimpleNamespace(params=params))]


@pytest.mark.parametrize(("free", "refused"), [(0, True), (63, True), (64, False), (1000, False)])
def test_a_folder_without_room_for_a_disk_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, refused: bool
) -> None:
    monkeypatch.setattr(room.shutil, "disk_usage", lambda _path: SimpleNamespace(free=free * 2**20))
    if not refused:
        room.demand(cases(tmp_path), "smoke")
        return
    with pytest.raises(PlanError, match=f"has {free} MiB free, a guest's disk needs 64 MiB"):
        room.demand(cases(tmp_path), "smoke")


def test_the_profiles_own_size_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room.shutil, "disk_usage", lambda _path: SimpleNamespace(free=100 * 2**20))
    room.demand(cases(tmp_path, hv_disk_mib_production="200"), "smoke")
    with pytest.raises(PlanError, match="needs 200 MiB"):
        room.demand(cases(tmp_path, hv_disk_mib_production="200"), "production")


def test_a_folder_that_is_not_there_or_a_wrong_size_is_the_cases_matter(tmp_path: Path) -> None:
    room.demand(cases(tmp_path / "nowhere"), "smoke")
    room.demand(cases(tmp_path, hv_disk_mib="much"), "smoke")
