# SPDX-License-Identifier: GPL-2.0-or-later
"""A real campaign with a mirror: the same at the other end, whole after a kill, gone on with, and never stopped by it."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from avocado_hvqual import exit_codes, wait
from avocado_hvqual.campaign import journal, processes
from avocado_hvqual.loader import load_campaign
from tests import scratch_vt
from tests.contract import test_campaign as campaign
from tests.contract.resume.breaking import ALONE

pytestmark = [
    pytest.mark.contract,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: without the kernel log the host's health is unknown"),
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> scratch_vt.Scratch:
    return scratch_vt.build(tmp_path_factory.mktemp("mirrored"))


def heartbeat(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / "heartbeat.json").read_text(encoding="utf-8"))
    return found


def test_a_campaign_and_its_mirror_come_to_the_same(home: scratch_vt.Scratch, tmp_path: Path) -> None:
    output, there = tmp_path / "out", tmp_path / "there"
    done = home.python(campaign.DRIVER, *campaign.words(output, "pass", "cloud"), "--mirror", str(there), timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"files in '{there}' are the same" in done.stdout
    assert (there / "journal.jsonl").read_bytes() == (output / "journal.jsonl").read_bytes()
    assert load_campaign(there) == load_campaign(output)
    assert heartbeat(there)["state"] == "ended"
    assert [line.data["state"] for line in journal.read(output).lines if line.kind == "mirror"] == ["streaming"]


def test_a_mirror_that_is_lost_in_the_middle_stops_nothing_and_is_told(
    home: scratch_vt.Scratch, tmp_path: Path
) -> None:
    output, there = tmp_path / "out", tmp_path / "there"
    seeded = f"""
import shutil, pathlib
from avocado_hvqual.campaign import jobs
from avocado_hvqual.mirror import mirror
mirror.FINISH_SECONDS = 3.0
mirror.Mirror.finish.__defaults__ = (3.0,)
whole = jobs.run_phase
def lose(*args):
    shutil.rmtree({str(there)!r})
    pathlib.Path({str(there)!r}).write_text("in the way")
    return whole(*args)
jobs.run_phase = lose
"""
    words = [*campaign.words(output, "pass"), "--mirror", str(there)]
    done = home.python(seeded + campaign.DRIVER, *words, timeout=240)
    assert campaign.verdict(output)["clean"] is True, "it says nothing of the node"
    assert campaign.last(output) == {"status": "finished"}
    assert done.returncode == exit_codes.PLAIN_RUN, done.stdout + done.stderr
    assert "is not known to be whole" in done.stderr
    assert [line.data["state"] for line in journal.read(output).lines if line.kind == "mirror"][-1] == "lost"
    assert any("The mirror was lost" in note for note in campaign.verdict(output)["notes"])


def test_a_mirror_that_cannot_be_used_is_told_before_anything_begins(home: scratch_vt.Scratch, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    (there / "letter").write_text("dear", encoding="utf-8")
    for uri, said in (
        (str(there), "not empty"),
        ("ssh://-oProxyCommand=x/y", "--mirror takes"),
        ("x", "--mirror takes"),
    ):
        output = tmp_path / "out"
        done = home.python(campaign.DRIVER, *campaign.words(output, "pass"), "--mirror", uri)
        assert done.returncode == exit_codes.USAGE
        assert said in done.stderr
        assert not output.exists()


def test_a_killed_campaign_is_whole_at_the_other_end_and_its_host_alive(
    home: scratch_vt.Scratch, tmp_path: Path
) -> None:
    output, there = home.root / "state" / "campaigns" / f"m{time.monotonic_ns()}", tmp_path / "there"
    with campaign._begin(home, output, "--mirror", str(there)) as process:
        process.kill()
        process.communicate(timeout=60)
    left = campaign._test_process(output)
    if left is not None:
        processes.kill([left], 1.0)
    wait.until(lambda: heartbeat(there)["state"] == "left", 60, "the sender's last beat")
    assert (there / "journal.jsonl").read_bytes() == (output / "journal.jsonl").read_bytes()
    assert load_campaign(there).health == ()
    labels = ("hang", "cloud")
    resume = home.python(
        ALONE + campaign.DRIVER,
        json.dumps([True, "record", labels]),
        "resume",
        str(output),
        "--repeat-interrupted",
        "0",
        timeout=240,
    )
    assert f"files in '{there}' are the same" in resume.stdout, resume.stdout + resume.stderr
    assert load_campaign(there) == load_campaign(output), "it went on by itself where it had been"
    assert [line.data["state"] for line in journal.read(there).lines if line.kind == "mirror"] == ["streaming"] * 2
    shutil.rmtree(output)
