# SPDX-License-Identifier: GPL-2.0-or-later
"""Cases that are tried again, on the same build and on a patched one: nothing that was is erased, and what is stale is told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from avocado_hvqual import exit_codes
from avocado_hvqual.campaign import journal
from tests import scratch_vt
from tests.contract.resume.breaking import (
    BUGGY,
    OTHER_BUILD,
    PASS,
    begin,
    go,
    kill,
    mend,
    run_output,
)
from tests.contract.test_campaign import kinds, last, verdict

pytestmark = [
    pytest.mark.contract,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: without the kernel log the host's health is unknown"),
]


def test_a_fix_is_tried_again_on_the_patched_build_and_the_rest_is_stale_until_it_is(
    home: scratch_vt.Scratch, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    labels = ("buggy", "pass")
    assert go(home, labels, *run_output(output)).returncode == 46
    refused = go(home, labels, "rerun", str(output), "--stale")
    assert (refused.returncode, "no case is stale" in refused.stderr) == (exit_codes.USAGE, True), refused.stderr
    mend(home, "buggy")
    same = go(home, labels, "rerun", str(output), "--failed")
    assert "1 of 2 cases is to be run" in same.stdout, same.stdout + same.stderr
    (finding,) = verdict(output)["findings"]
    assert (finding["open"], finding["seen"], finding["attempts"]) == (True, 1, 2), (
        "a pass on the same build mends nothing"
    )
    patched = go(home, labels, "rerun", str(output), "--failed", seed=OTHER_BUILD % "patched")
    assert "Another build is under test: qemu-build" in patched.stdout, patched.stdout + patched.stderr
    by_case = {case["case"]: case for case in verdict(output)["cases"]}
    assert by_case[BUGGY]["attempts"] == ["FAIL", "PASS", "PASS"]
    assert (by_case[BUGGY]["outcome"], by_case[PASS]["outcome"]) == ("passed", "not attempted")
    assert "qemu-build" in by_case[PASS]["stale"]
    found = {one["kind"]: one for one in verdict(output)["findings"]}
    assert (found["wrong-result"]["open"], found["stale-result"]["case"]) == (False, PASS)
    assert "Fixed by a change of build: qemu-build" in found["wrong-result"]["fixed"]
    assert patched.returncode == 47
    rest = go(home, labels, "rerun", str(output), "--stale", seed=OTHER_BUILD % "patched")
    assert rest.returncode == 0, rest.stdout + rest.stderr
    assert (verdict(output)["clean"], len(verdict(output)["tried_builds"])) == (True, 2)
    assert [one["open"] for one in verdict(output)["findings"]] == [False]
    assert kinds(output).count("plan") == 1


def test_a_rerun_that_breaks_is_resumed_and_never_erases_what_was(home: scratch_vt.Scratch, tmp_path: Path) -> None:
    output = tmp_path / "out"
    labels = ("once", "pass")
    mend(home, "once")
    assert go(home, labels, *run_output(output)).returncode == 0
    (home.root / "state" / "once").unlink()
    with begin(home, labels, "rerun", str(output), "--case", "scratch.once") as process:
        kill(process, output)
    judged = go(home, labels, "verdict", str(output))
    assert "interrupted" in judged.stdout
    mend(home, "once")
    done = go(home, labels, "resume", str(output))
    assert "1 of 2 cases is to be run" in done.stdout, done.stdout + done.stderr
    assert verdict(output)["cases"][0]["attempts"] == ["PASS", "no end", "PASS"]
    assert done.returncode == 0


def test_a_closed_gate_is_asked_again_and_opens_once_what_it_was_closed_for_is_mended(
    home: scratch_vt.Scratch, tmp_path: Path
) -> None:
    output, labels = tmp_path / "out", ("absent", "cloud")

    def gates() -> list[bool]:
        return [line.data["passed"] for line in journal.read(output).lines if line.kind == "gate"]

    go(home, labels, *run_output(output), part=False)
    assert (gates(), last(output)) == ([False], {"status": "stopped"})
    done = go(home, labels, "resume", str(output), part=False)
    assert (gates(), last(output)) == ([False, False], {"status": "stopped"}), done.stdout + done.stderr
    assert "1 of 2 cases is to be run" in done.stdout
    mend(home, "absent")
    done = go(home, labels, "rerun", str(output), "--open", part=False)
    assert (gates(), last(output)) == ([False, False], {"status": "stopped"}), done.stdout + done.stderr
    done = go(home, labels, "resume", str(output), part=False)
    assert (gates(), last(output)) == ([False, False, True], {"status": "finished"}), done.stdout + done.stderr
    tries = {case["case"].split(".")[-1].split(":")[0]: case["attempts"] for case in verdict(output)["cases"]}
    assert tries == {"absent": ["CANCEL", "PASS"], "cloud": ["PASS"]}
