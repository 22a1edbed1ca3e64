# SPDX-License-Identifier: GPL-2.0-or-later
"""Campaigns that break and go on, of real avocado jobs over the scratch provider: what was tried stays, what is missing is run."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from avocado_hvqual import exit_codes, wait
from avocado_hvqual.campaign import continuing, journal, processes
from avocado_hvqual.errors import HvqualError
from tests import scratch_vt
from tests.contract.test_campaign import DRIVER, kinds, last, verdict

pytestmark = [
    pytest.mark.contract,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: without the kernel log the host's health is unknown"),
]

# Other people's guests and files are on this machine while tests run side by side; what the sweep does has tests of its own.
ALONE = """
from avocado_hvqual import clean
clean.clean = lambda *_, **__: clean.CleanReport((), (), ())
"""
OTHER_BUILD = """
from avocado_hvqual.campaign import facts
whole_versions = facts.versions
facts.versions = lambda: {**whole_versions(), "qemu-build": "%s"}
"""
OTHER_BOOT = """
from avocado_hvqual.health import crash, identity
identity.boot = lambda *_: "another boot"
crash.collect = lambda *_, **__: crash.Collected()
"""
PASS, FAIL, HANG, ONCE, BUGGY, CLOUD = (
    f"qemu:hvqual.scratch.{label}:single_big" for label in ("pass", "fail", "hang", "once", "buggy", "cloud")
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> scratch_vt.Scratch:
    return scratch_vt.build(tmp_path_factory.mktemp("resume"))


@pytest.fixture(autouse=True)
def _unmended(home: scratch_vt.Scratch) -> None:
    for name in ("once", "buggy", "absent"):
        (home.root / "state" / name).unlink(missing_ok=True)


def mend(home: scratch_vt.Scratch, name: str) -> None:
    (home.root / "state" / name).touch()


def words(labels: tuple[str, ...], *arguments: str, part: bool = True) -> list[str]:
    return [json.dumps([part, "record" if part else "stop", labels]), *arguments]


def go(home: scratch_vt.Scratch, labels: tuple[str, ...], *arguments: str, seed: str = "", part: bool = True) -> Any:
    return home.python(seed + ALONE + DRIVER, *words(labels, *arguments, part=part), timeout=240)


def begin(home: scratch_vt.Scratch, labels: tuple[str, ...], *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", ALONE + DRIVER, *words(labels, *arguments)]
    return subprocess.Popen(
        command, env=home.environment(), cwd=home.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def hanging(output: Path, number: int = 1) -> list[Path]:
    """The tests that hang by now, once there are so many."""

    def found() -> list[Path]:
        return [path for path in output.glob("jobs/job-*/test-results/*/pid") if path.read_text()]

    wait.until(lambda: len(found()) >= number, 60, "the test to hang")
    return found()


def kill(process: subprocess.Popen[str], output: Path, number: int = 1) -> None:
    """As a power cut would: the campaign, its runner and its test, without a word."""
    pids = [int(path.read_text()) for path in hanging(output, number)]
    process.kill()
    process.communicate(timeout=60)
    left = [found for found in map(processes.look, pids) if found is not None]
    processes.kill(left, 0.1)


def run_output(output: Path) -> tuple[str, ...]:
    return "run", "--profile", "smoke", "--output", str(output)


def broken(home: scratch_vt.Scratch, output: Path, *labels: str) -> None:
    with begin(home, labels, *run_output(output)) as process:
        kill(process, output)


def whole(output: Path) -> dict[str, Any]:
    """The verdict without what two runs never have in common: names, times, and the way to it."""
    found = verdict(output)
    ours = ("verdict", "basis", "clean", "required", "attempted", "exit_code", "reasons", "next_steps", "not_covered")
    cases = [{name: case[name] for name in ("case", "outcome", "criteria", "stale")} for case in found["cases"]]
    findings = [(one["case"], one["kind"], one["severity"], one["open"]) for one in found["findings"]]
    return {**{name: found[name] for name in ours}, "cases": cases, "findings": findings}


LABELS = ("fail", "once", "pass", "cloud")


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
    assert "1 of 2 cases are to be run" in same.stdout, same.stdout + same.stderr
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
    assert "1 of 2 cases are to be run" in done.stdout, done.stdout + done.stderr
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
    assert "1 of 2 cases are to be run" in done.stdout
    mend(home, "absent")
    done = go(home, labels, "rerun", str(output), "--open", part=False)
    assert (gates(), last(output)) == ([False, False], {"status": "stopped"}), done.stdout + done.stderr
    done = go(home, labels, "resume", str(output), part=False)
    assert (gates(), last(output)) == ([False, False, True], {"status": "finished"}), done.stdout + done.stderr
    tries = {case["case"].split(".")[-1].split(":")[0]: case["attempts"] for case in verdict(output)["cases"]}
    assert tries == {"absent": ["CANCEL", "PASS"], "cloud": ["PASS"]}


@pytest.fixture(scope="module")
def stopped(home: scratch_vt.Scratch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real campaign that was killed in its second case; not to be changed."""
    output = tmp_path_factory.mktemp("stopped") / "out"
    (home.root / "state" / "once").unlink(missing_ok=True)
    broken(home, output, "fail", "once", "pass", "cloud")
    return output


def copied(stopped: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(stopped, tmp_path / "copy", symlinks=True))


def spoiled(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"selection":true', '"selection":false', 1), encoding="utf-8")


OTHER_NODE = """
from avocado_hvqual.campaign import facts
whole_node = facts.node
facts.node = lambda: {**whole_node(), %s}
"""
OTHER_LIMIT = """
from avocado_hvqual import catalog
from dataclasses import replace as changed
load = catalog.load
def other(*words):
    cases = load(*words)
    return {key: changed(one, planned=changed(one.planned, limits={"answer": "max <= 99 s"})) for key, one in cases.items()}
catalog.load = other
"""
GONE = """
from avocado_hvqual import catalog
load = catalog.load
catalog.load = lambda *words: {key: one for key, one in load(*words).items() if "once" not in str(key)}
"""


@pytest.mark.parametrize(
    ("seed", "said"),
    [
        (OTHER_NODE % "'id': 'hv-z'", "is the campaign of the node"),
        (OTHER_NODE % "'machine_id': 'anew'", "is the campaign of the installation"),
        (OTHER_LIMIT, "had the limit 'max <= 10 s' on 'answer' and has 'max <= 99 s'"),
        (GONE, f"There is no case '{ONCE}' any more"),
    ],
)
def test_what_a_campaign_cannot_go_on_with_is_one_sentence_and_nothing_is_written(
    home: scratch_vt.Scratch, stopped: Path, tmp_path: Path, seed: str, said: str
) -> None:
    folder = copied(stopped, tmp_path)
    before = (folder / "journal.jsonl").read_bytes()
    for verb in (["resume"], ["rerun", "--failed"]):
        done = go(home, LABELS, verb[0], str(folder), *verb[1:], seed=seed)
        assert (done.returncode, said in done.stderr) == (exit_codes.USAGE, True), done.stdout + done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert (folder / "journal.jsonl").read_bytes() == before


def test_a_damaged_journal_and_one_that_is_written_are_left_alone(
    home: scratch_vt.Scratch, stopped: Path, tmp_path: Path
) -> None:
    folder = copied(stopped, tmp_path)
    with journal.Journal.open(folder):
        done = go(home, LABELS, "resume", str(folder))
    assert (done.returncode, "is being written by another process" in done.stderr) == (2, True), done.stderr
    spoiled(folder / "journal.jsonl")
    before = (folder / "journal.jsonl").read_bytes()
    done = go(home, LABELS, "resume", str(folder))
    assert (done.returncode, "journal.jsonl:1: its hash does not match" in done.stderr) == (2, True), done.stderr
    assert (folder / "journal.jsonl").read_bytes() == before


def test_a_phase_that_was_never_begun_is_not_tried_again(
    home: scratch_vt.Scratch, stopped: Path, tmp_path: Path
) -> None:
    done = go(home, LABELS, "rerun", str(copied(stopped, tmp_path)), "--case", "scratch.cloud")
    assert (done.returncode, "never came to the phase cloud" in done.stderr) == (2, True), done.stderr


def test_at_each_byte_that_a_power_cut_leaves_the_rest_is_known(stopped: Path, tmp_path: Path) -> None:
    """A real journal, with the last words of its dead process: cut anywhere, it is gone on with, and nothing whole is run again."""
    folder = copied(stopped, tmp_path)
    path = folder / "journal.jsonl"
    with journal.Journal.open(folder) as writer:
        continuing.close(continuing.read(folder), writer, lambda _line: None)
    content, lines = path.read_bytes(), journal.read(folder).lines
    assert [line.data["case"] for line in lines if line.kind == "health-state"] == [FAIL]
    ends = [place + 1 for place, byte in enumerate(content) if byte == ord("\n")]
    for size in range(len(content), -1, -1):
        os.truncate(path, size)
        kept = lines[: sum(end <= size for end in ends)]
        if not any(line.kind == "plan" for line in kept):
            with pytest.raises(HvqualError):
                continuing.read(folder)
            continue
        left = continuing.missing(continuing.read(folder).record, 1)
        watched = {line.data["case"] for line in kept if line.kind == "health-state"}
        assert left == ({FAIL, ONCE, PASS, CLOUD} - watched, ()), size
    for size in (ends[-1] - 1, ends[-2] + 1, ends[2] + 20):
        path.write_bytes(content[:size])
        with journal.Journal.open(folder) as writer:
            writer.append("continued", {"verb": "resume", "command": "x", "cases": []})
        again = journal.read(folder)
        assert (again.damage, again.torn, again.lines[-1].kind) == ((), "", "continued")


CHEAP = ("fail", "pass", "unmet", "cloud")
KILLS = int(os.environ.get("HVQUAL_KILLS", "1"))
SEED = int(os.environ.get("HVQUAL_SEED", str(random.randrange(10**6))))


@pytest.fixture(scope="module")
def unbroken(home: scratch_vt.Scratch, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], float]:
    """The verdict of the campaign that nobody kills, and how many seconds it takes."""
    output, began = tmp_path_factory.mktemp("unbroken") / "out", time.monotonic()
    go(home, CHEAP, *run_output(output))
    return whole(output), time.monotonic() - began


def kill_family(process: subprocess.Popen[str]) -> None:
    """Kill -9 the campaign and everything below it at once, as a power cut does."""
    for one in [process.pid, *(child.pid for child in processes.below(process.pid, processes.everyone()))]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)
    process.communicate(timeout=60)


@pytest.mark.parametrize("number", range(KILLS))
def test_killed_at_any_moment_a_campaign_comes_to_the_verdict_of_an_unbroken_run(
    home: scratch_vt.Scratch, unbroken: tuple[dict[str, Any], float], tmp_path: Path, number: int
) -> None:
    """HVQUAL_KILLS says how many moments, HVQUAL_SEED repeats them; a campaign is killed up to three times."""
    moments, output, verb = random.Random(SEED + number), tmp_path / "out", run_output(tmp_path / "out")
    kept: list[bytes] = []
    for _ in range(moments.choice((1, 1, 2, 3))):
        with begin(home, CHEAP, *verb) as process:
            at = time.monotonic() + moments.uniform(0, unbroken[1])
            wait.until(lambda at=at, process=process: time.monotonic() >= at or process.poll() is not None, 60, "it")
            kill_family(process)
        text = (output / "journal.jsonl").read_bytes() if (output / "journal.jsonl").exists() else b""
        kept.append(text[: text.rfind(b"\n") + 1])
        if b'"kind":"plan"' not in kept[-1]:
            refused = go(home, CHEAP, "resume", str(output))
            assert (refused.returncode, len(refused.stderr.splitlines())) == (exit_codes.USAGE, 1), refused.stderr
            return
        verb = ("resume", str(output), "--repeat-interrupted", "5")
    done = go(home, CHEAP, *verb)
    said = f"HVQUAL_SEED={SEED + number} {done.stdout}{done.stderr}"
    reading = journal.read(output)
    assert (reading.damage, reading.torn, reading.lines[-1].data) == ((), "", {"status": "finished"}), said
    assert all((output / "journal.jsonl").read_bytes().startswith(one) for one in kept), said
    if "has come to its end" not in done.stderr:
        assert whole(output) == unbroken[0], said
