# SPDX-License-Identifier: GPL-2.0-or-later
"""A campaign that an orderly shutdown of its host ends stays open, to go on after the boot; one that somebody ends by hand does not."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from avocado_hvqual.campaign import journal as journals
from avocado_hvqual.campaign import parts, shutdown
from avocado_hvqual.campaign.campaign import Campaign
from avocado_hvqual.campaign.folder import Folder
from tests.campaign.test_journal import HEADER

NOTHING: Any = SimpleNamespace()
WATCH: Any = SimpleNamespace(finish=lambda _journal, _copied: None)


def service_manager(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "systemctl").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


@pytest.mark.parametrize(
    ("script", "under_way"),
    [("echo stopping; exit 1", True), ("echo running", False), ("echo degraded; exit 1", False), ("exit 1", False)],
)
def test_whether_the_host_goes_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, under_way: bool
) -> None:
    service_manager(tmp_path, script, monkeypatch)
    assert shutdown.under_way() is under_way


def test_without_systemd_nothing_is_known_of_a_shutdown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shutdown.under_way() is False


@pytest.mark.parametrize(
    ("interrupted", "said", "last"),
    [(True, "stopping", "reboot-planned"), (True, "running", "campaign-end"), (False, "stopping", "campaign-end")],
)
def test_a_campaign_that_the_shutdown_ended_stays_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interrupted: bool, said: str, last: str
) -> None:
    monkeypatch.setenv("AVOCADO_HVQUAL_HOME", str(tmp_path))
    service_manager(tmp_path, f"echo {said}", monkeypatch)
    campaign = Campaign(NOTHING, Folder(tmp_path, "c"), "avocado hvqual run", NOTHING)
    campaign.interrupted = interrupted
    with journals.Journal.create(tmp_path, HEADER) as journal:
        campaign._close(journal, WATCH)
    lines = journals.read(tmp_path).lines
    assert lines[-1].kind == last
    assert parts.last(lines).rebooting is (last == "reboot-planned")
