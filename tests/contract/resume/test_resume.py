# SPDX-License-Identifier: GPL-2.0-or-later
"""Campaigns that break and go on, of real avocado jobs over the scratch provider: what was tried stays, what is missing is run."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from avocado_hvqual import exit_codes
from avocado_hvqual.campaign import journal
from tests import scratch_vt
from tests.contract.resume.breaking import (
    CLOUD,
    FAIL,
    HANG,
    LABELS,
    ONCE,
    OTHER_BOOT,
    PASS,
    begin,
    broken,
    go,
    hanging,
    kill,
    mend,
    run_output,
    whole,
)
from tests.contract.test_campaign import kinds, last, verdict

pytestmark = [
    pytest.mark.contract,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: without the kernel log the host's health is unknown"),
]


def test_a_killed_campaign_goes_on_and_comes_to_the_verdict_of_an_unbroken_run(
    home: scratch_vt.Scratch, tmp_path: Path
) -> None:
    output, unbroken = tmp_path / "out", tmp_path / "unbroken"
    broken(home, output, *LABELS)
    before = (output / "journal.jsonl").read_bytes()
    mend(home, "once")
    done = go(home, LABELS, "resume", str(output))
    assert "3 of 4 cases are to be run" in done.stdout, done.stdout + done.stderr
    other = go(home, LABELS, *run_output(unbroken))
    assert done.returncode == other.returncode
    assert whole(output) == whole(unbroken)
    assert (output / "journal.jsonl").read_bytes().startswith(before), "nothing of the journal is written anew"
    tries = {case["case"]: case["attempts"] for case in verdict(output)["cases"]}
    assert tries == {FAIL: ["FAIL"], ONCE: ["no end", "PASS"], PASS: ["PASS"], CLOUD: ["PASS"]}
    assert any("made good by a later one" in note for note in verdict(output)["notes"])
    assert [one["verb"] for one in verdict(output)["continued"]] == ["resume"]
    assert (output / "kernel-2.log").stat().st_size
    assert last(output) == {"status": "finished"}
    assert "Went on: resumed after a break" in (output / "report.txt").read_text()
    again = go(home, LABELS, "resume", str(output))
    assert (again.returncode, "has come to its end" in again.stderr) == (exit_codes.USAGE, True)


@pytest.mark.parametrize("late", ["missing", "of an earlier end"])
def test_a_campaign_that_was_killed_between_its_end_and_its_reports_is_told_by_resume(
    home: scratch_vt.Scratch, tmp_path: Path, late: str
) -> None:
    output = tmp_path / "out"
    first = go(home, ("fail",), *run_output(output))
    told = verdict(output)
    if late == "missing":
        (output / "verdict.json").unlink()
    else:
        (output / "verdict.json").write_text("{}")
        os.utime(output / "verdict.json", ns=(0, 0))
    done = go(home, ("fail",), "resume", str(output))
    assert done.returncode == first.returncode != exit_codes.USAGE
    assert "only its reports were not written any more" in done.stdout
    assert (verdict(output)["verdict"], verdict(output)["reasons"]) == (told["verdict"], told["reasons"])
    again = go(home, ("fail",), "resume", str(output))
    assert (again.returncode, "has come to its end" in again.stderr) == (exit_codes.USAGE, True)


def test_after_clean_and_after_ctrl_c_a_campaign_goes_on_too(home: scratch_vt.Scratch, tmp_path: Path) -> None:
    output = home.root / "state" / "campaigns" / f"broken-{time.monotonic_ns()}"
    broken(home, output, "fail", "once")
    cleaned = go(home, (), "clean")
    assert f"closed the journal of the interrupted campaign in '{output}'" in cleaned.stdout
    with begin(home, ("fail", "once"), "resume", str(output)) as process:
        hanging(output, 2)
        os.kill(process.pid, signal.SIGINT)
        told, _ = process.communicate(timeout=120)
    assert process.returncode == exit_codes.INTERRUPTED, told
    mend(home, "once")
    done = go(home, ("fail", "once"), "resume", str(output))
    tries = {case["case"]: case["attempts"] for case in verdict(output)["cases"]}
    assert tries == {FAIL: ["FAIL"], ONCE: ["no end", "INTERRUPTED", "PASS"]}, done.stdout + done.stderr
    assert verdict(output)["attempted"] == verdict(output)["required"]


def test_what_was_running_each_time_is_not_tried_for_ever(home: scratch_vt.Scratch, tmp_path: Path) -> None:
    output = tmp_path / "out"
    labels = ("hang", "pass")
    broken(home, output, *labels)
    with begin(home, labels, "resume", str(output)) as process:
        kill(process, output, 2)
    done = go(home, labels, "resume", str(output))
    assert f"'{HANG}' was running each time" in done.stdout, done.stdout + done.stderr
    assert {case["case"]: case["attempts"] for case in verdict(output)["cases"]} == {
        HANG: ["no end", "no end"],
        PASS: ["PASS"],
    }
    assert last(output) == {"status": "finished"}
    assert [(one["kind"], one["case"]) for one in verdict(output)["findings"]] == [("interrupted", HANG)]
    assert done.returncode == 47


@pytest.mark.parametrize("planned", [False, True])
def test_a_host_that_booted_anew_is_a_critical_finding_unless_it_was_announced(
    home: scratch_vt.Scratch, tmp_path: Path, planned: bool
) -> None:
    output = tmp_path / "out"
    broken(home, output, "once")
    if planned:
        with journal.Journal.open(output) as writer:
            writer.append("reboot-planned", {"reason": "a new kernel"})
    mend(home, "once")
    if not planned:
        done = go(home, ("once",), "resume", str(output), "--on-critical", "stop", seed=OTHER_BOOT)
        assert "No phase is begun: A critical finding appeared" in done.stdout, done.stdout + done.stderr
        assert verdict(output)["cases"][0]["attempts"] == ["no end"], "it is told before anything is begun"
        assert kinds(output).count("alarm") == 1
    done = go(home, ("once",), "resume", str(output), "--on-critical", "stop", seed=OTHER_BOOT)
    found = [(one["kind"], one["severity"], one["case"]) for one in verdict(output)["findings"]]
    assert found == ([] if planned else [("host-reboot", "critical", ONCE)]), done.stdout + done.stderr
    assert verdict(output)["cases"][0]["attempts"] == ["no end", "PASS"]


def test_the_open_campaign_is_found_at_boot(home: scratch_vt.Scratch, tmp_path: Path) -> None:
    done = go(home, (), "resume")
    assert (done.returncode, done.stdout) == (0, "No campaign of this host is open.\n"), done.stderr
    output = tmp_path / "elsewhere"
    broken(home, output, "once")
    mend(home, "once")
    done = go(home, ("once",), "resume")
    assert (last(output), done.returncode) == ({"status": "finished"}, 0), done.stdout + done.stderr
    assert not list((home.root / "state" / "open").rglob("*-smoke-*"))
