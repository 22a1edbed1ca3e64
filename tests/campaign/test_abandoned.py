# SPDX-License-Identifier: GPL-2.0-or-later
"""Campaigns whose process is gone: closed by `clean` on their own host, with what befell it."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from avocado_hvqual import judge, load, loader
from avocado_hvqual.campaign import abandoned, facts, folder
from avocado_hvqual.campaign.journal import Journal, read
from avocado_hvqual.health import identity
from tests import strategies as make

pytestmark = pytest.mark.usefixtures("home")
CASE = make.START


def header(node: str = "") -> dict[str, Any]:
    return {
        "id": "c1",
        "profile": "smoke",
        "selection": True,
        "lab": True,
        "node": {"id": node or facts.node_id(), "hostname": "n"},
        "command": "x",
        "versions": {},
    }


def closed() -> list[str]:
    said: list[str] = []
    abandoned.close_all(said.append)
    return said


def test_a_dead_campaign_is_closed_and_a_living_one_left(home: Path) -> None:
    dead, living = home / "campaigns" / "dead", home / "campaigns" / "living"
    Journal.create(dead, header()).close()
    with Journal.create(living, header()):
        assert abandoned.close_all(lambda _line: None) == 1
    assert read(dead).lines[-1].data == {"status": "interrupted"}
    assert read(living).lines[-1].kind == "campaign"
    assert abandoned.close_all(lambda _line: None) == 1, "the living one has died by now"
    assert abandoned.close_all(lambda _line: None) == 0


def test_a_dead_campaign_with_a_folder_of_its_own_is_found_and_forgotten(home: Path, tmp_path: Path) -> None:
    place = folder.create(tmp_path / "elsewhere", "c1")
    Journal.create(place.path, header()).close()
    assert [path for _note, path in folder.open_elsewhere()] == [place.path]
    assert "closed the journal" in closed()[0]
    assert read(place.path).lines[-1].kind == "campaign-end"
    assert folder.open_elsewhere() == []


def test_the_campaign_of_another_host_is_left_to_it(home: Path) -> None:
    Journal.create(home / "campaigns" / "theirs", header("hv-z")).close()
    assert "run clean there" in closed()[0]
    assert read(home / "campaigns" / "theirs").lines[-1].kind == "campaign"


def test_a_damaged_journal_is_told_and_left(home: Path) -> None:
    Journal.create(home / "campaigns" / "bad", header()).close()
    path = home / "campaigns" / "bad" / "journal.jsonl"
    path.write_text(path.read_text(encoding="utf-8").replace("smoke", "smoky"), encoding="utf-8")
    before = path.read_bytes()
    assert closed()[0].startswith("left: ")
    assert path.read_bytes() == before


def run_case(place: Path) -> None:
    with Journal.create(place, header()) as journal:
        plan = {"profile": "smoke", "cases": [make.planned().to_json()], "required": []}
        journal.append("plan", plan)
        journal.append("case-begin", {"case": CASE, "logdir": None})


def findings(place: Path) -> set[tuple[str, str, str]]:
    judged = judge.judge(loader.load_campaign(place), load.load_policy(), load.load_ledger(None), dt.date(2026, 11, 21))
    return {(found.kind.value, found.severity.value, found.case) for found in judged.findings}


@pytest.mark.parametrize(("later", "rebooted"), [("boot-1", False), ("boot-2", True)])
def test_a_host_that_booted_anew_during_a_case_is_a_critical_finding_of_it(
    home: Path, monkeypatch: pytest.MonkeyPatch, later: str, rebooted: bool
) -> None:
    place = home / "campaigns" / "c1"
    monkeypatch.setattr(identity, "boot", lambda: "boot-1")
    run_case(place)
    monkeypatch.setattr(identity, "boot", lambda: later)
    closed()
    assert (("host-reboot", "critical", CASE) in findings(place)) is rebooted
    assert ("interrupted", "major", "") in findings(place)


def test_a_lab_host_boots_anew_when_its_first_process_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def started(tick: int) -> None:
        (tmp_path / "1").mkdir(exist_ok=True)
        (tmp_path / "1" / "stat").write_text(f"1 (in) it) S{' 0' * 18} {tick} 0", encoding="ascii")

    started(100)
    alone = identity.boot(tmp_path)
    monkeypatch.setenv(identity.HOST_VARIABLE, "hv-a")
    first = identity.boot(tmp_path)
    started(200)
    assert len({alone, first, identity.boot(tmp_path)}) == 3
    assert alone == identity.BOOT_ID.read_text(encoding="ascii").strip()


def test_the_kernels_last_words_count_though_nobody_read_them(home: Path) -> None:
    place = home / "campaigns" / "c1"
    run_case(place)
    log = "6,7,1000000000000,-;ordinary\n0,8,1000001000000,-;Kernel panic - not syncing: seeded\n0,9,10000"
    (place / "kernel.log").write_text(log, encoding="utf-8")
    closed()
    assert ("host-panic", "critical", "") in findings(place)


def test_what_was_told_before_is_not_told_twice(home: Path) -> None:
    place = home / "campaigns" / "c1"
    with Journal.create(place, header()) as journal:
        journal.append("health-state", {"case": None, "state": "known", "reason": ""})
    (place / "kernel.log").write_text("0,8,1000000,-;Kernel panic - not syncing: seeded\n", encoding="utf-8")
    closed()
    assert "health" not in [line.kind for line in read(place).lines]
