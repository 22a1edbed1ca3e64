# SPDX-License-Identifier: GPL-2.0-or-later
"""A whole campaign through `run`, of real avocado jobs over the scratch provider: phases, gate, verdict, Ctrl-C, kill -9, clean."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from avocado_hvqual import exit_codes, wait
from avocado_hvqual.campaign import journal, processes
from tests import scratch_vt

pytestmark = [
    pytest.mark.contract,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: without the kernel log the host's health is unknown"),
]

DRIVER = """
import json, sys
from dataclasses import replace
from avocado_hvqual import node, profiles, required
from avocado_hvqual.campaign import cli, around
from avocado_hvqual.plugins.cli import dispatch
part, gate, labels = json.loads(sys.argv[1])
smoke = profiles.load("smoke")
profiles.load = lambda name: replace(
    smoke, part=part, gate=gate, backends=("qemu",), ids=tuple("hvqual.scratch." + label for label in labels)
)
required.read = lambda *_: []
# The state of this machine is other people's while tests run side by side; it has tests of its own.
node.capture = lambda *_, **__: node.State("0" * 64, {"items": {}})
node.diff = lambda *_: []
sys.argv = ["avocado", "hvqual", *sys.argv[2:]]
sys.exit(dispatch(sys.argv[2:]))
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> scratch_vt.Scratch:
    return scratch_vt.build(tmp_path_factory.mktemp("campaign"))


def words(output: Path, *labels: str, part: bool = True, gate: str = "record") -> list[str]:
    return [json.dumps([part, gate, labels]), "run", "--profile", "smoke", "--output", str(output)]


def run(home: scratch_vt.Scratch, output: Path, *labels: str, part: bool = True, gate: str = "record") -> Any:
    return home.python(DRIVER, *words(output, *labels, part=part, gate=gate), timeout=240)


def kinds(output: Path) -> list[str]:
    return [line.kind for line in journal.read(output).lines]


def last(output: Path) -> dict[str, Any]:
    line = journal.read(output).lines[-1]
    assert line.kind == "campaign-end"
    return line.data


def verdict(output: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((output / "verdict.json").read_text(encoding="utf-8"))
    return loaded


def test_a_clean_campaign_of_two_phases_is_accepted(home: scratch_vt.Scratch, tmp_path: Path) -> None:
    output = tmp_path / "out"
    done = run(home, output, "pass", "cloud")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1/2 PASS" in done.stdout
    assert verdict(output)["verdict"] == "SELECTION"
    assert (verdict(output)["attempted"], verdict(output)["required"]) == (2, 2)
    order = kinds(output)
    assert order[:2] == ["campaign", "plan"]
    assert order.count("phase-begin") == 2
    assert order.index("gate") > order.index("case-end")
    gate = next(line.data for line in journal.read(output).lines if line.kind == "gate")
    assert gate == {"phase": "cloud", "passed": True, "reason": gate["reason"]}
    for name in ("report.html", "junit.xml", "report.txt", "kernel.log", "campaign.log"):
        assert (output / name).stat().st_size
    assert last(output) == {"status": "finished"}
    assert not list(Path("/var/tmp").glob(f"hvq-tmp-*/{os.getpid()}"))  # noqa: S108


def test_the_same_folder_is_refused_the_second_time(home: scratch_vt.Scratch, tmp_path: Path) -> None:
    output = tmp_path / "out"
    assert run(home, output, "pass").returncode == 0
    before = (output / "journal.jsonl").read_bytes()
    done = run(home, output, "pass")
    assert done.returncode == exit_codes.USAGE
    assert "already holds a campaign" in done.stderr
    assert (output / "journal.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("part", "gate", "goes_on"), [(False, "stop", False), (True, "stop", True), (False, "record", True)]
)
def test_a_closed_gate_stops_what_could_qualify_and_is_only_told_otherwise(
    home: scratch_vt.Scratch, tmp_path: Path, part: bool, gate: str, goes_on: bool
) -> None:
    output = tmp_path / "out"
    done = run(home, output, "cancel", "cloud", part=part, gate=gate)
    assert done.returncode not in {0, 1, 2}, done.stdout + done.stderr
    (told,) = (line.data for line in journal.read(output).lines if line.kind == "gate")
    assert not told["passed"]
    begun = [line.data["case"] for line in journal.read(output).lines if line.kind == "case-begin"]
    assert ("qemu:hvqual.scratch.cloud:single_big" in begun) is goes_on
    assert last(output) == {"status": "finished" if goes_on else "stopped"}
    assert "The gate to cloud is closed" in done.stdout


def test_a_lockup_in_the_first_phase_closes_the_gate(home: scratch_vt.Scratch, tmp_path: Path) -> None:
    output = tmp_path / "out"
    done = home.python(scratch_vt.SEED_LOG + DRIVER, *words(output, "pass", "cloud"), timeout=240)
    (told,) = (entry.data for entry in journal.read(output).lines if entry.kind == "gate")
    assert not told["passed"], done.stdout
    assert "soft lockup" in told["reason"]
    assert done.returncode not in {0, 1, 2}
    assert {finding["case"] for finding in verdict(output)["findings"]} >= {"qemu:hvqual.scratch.pass:single_big"}


def test_an_unmet_limit_is_not_accepted(home: scratch_vt.Scratch, tmp_path: Path) -> None:
    done = run(home, tmp_path / "out", "unmet")
    assert done.returncode == 46, done.stdout + done.stderr


def _begin(home: scratch_vt.Scratch, output: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", DRIVER, *words(output, "hang", "cloud"), *more]
    process = subprocess.Popen(
        command, env=home.environment(), cwd=home.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    wait.until(lambda: list(output.glob("jobs/job-*/test-results/*/pid")), 60, "the test to hang")
    return process


def _test_process(output: Path) -> Any:
    (pid,) = output.glob("jobs/job-*/test-results/*/pid")
    return processes.look(int(pid.read_text()))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_campaign_is_closed_judged_and_leaves_nothing_running(
    home: scratch_vt.Scratch, tmp_path: Path, number: signal.Signals
) -> None:
    output = tmp_path / "out"
    with _begin(home, output) as process:
        os.kill(process.pid, number)
        told, _ = process.communicate(timeout=120)
    assert process.returncode == exit_codes.INTERRUPTED, told
    assert last(output) == {"status": "interrupted"}
    assert verdict(output)["attempted"] == 0
    assert "qemu:hvqual.scratch.cloud:single_big" not in [
        line.data["case"] for line in journal.read(output).lines if line.kind == "case-begin"
    ]
    left = _test_process(output)
    assert left is None or not left.alive


def test_a_killed_campaign_is_whole_after_clean_and_judged_as_interrupted(
    home: scratch_vt.Scratch, tmp_path: Path
) -> None:
    output = home.root / "state" / "campaigns" / f"killed-{time.monotonic_ns()}"
    with _begin(home, output) as process:
        process.kill()
        process.communicate(timeout=60)
    left = _test_process(output)
    if left is not None:
        processes.kill([left], 1.0)
    assert not journal.read(output).damage
    done = home.python("import sys; from avocado_hvqual.plugins.cli import dispatch; sys.exit(dispatch(['clean']))")
    assert f"closed the journal of the interrupted campaign in '{output}'" in done.stdout
    assert last(output) == {"status": "interrupted"}
    judged = home.avocado("hvqual", "verdict", str(output))
    assert judged.returncode not in {0, 1, 2}, judged.stdout + judged.stderr
    assert "interrupted" in judged.stdout


def test_a_tainted_node_refuses_to_start(home: scratch_vt.Scratch, tmp_path: Path) -> None:
    code = DRIVER.replace("required.read", "node.tainted = lambda *_: 'a route could not be put back'\nrequired.read")
    done = home.python(code, *words(tmp_path / "out", "pass"))
    assert done.returncode == exit_codes.USAGE
    assert "a route could not be put back" in done.stderr
    assert "avocado hvqual clean" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_campaign_that_breaks_in_the_middle_is_not_finished(home: scratch_vt.Scratch, tmp_path: Path) -> None:
    seeded = """
from avocado_hvqual.campaign import gate
from avocado_hvqual.errors import DefinitionError
def broken(*_):
    raise DefinitionError("policy.yaml:1: seeded.")
gate.evaluate = broken
"""
    output = tmp_path / "out"
    done = home.python(seeded + DRIVER, *words(output, "pass", "cloud"))
    assert done.returncode == exit_codes.USAGE
    assert "policy.yaml:1: seeded." in done.stderr
    assert last(output) == {"status": "stopped"}
    assert [line.data["where"] for line in journal.read(output).lines if line.kind == "problem"] == ["campaign"]


def test_a_disk_that_fills_up_is_no_success(home: scratch_vt.Scratch, tmp_path: Path) -> None:
    seeded = """
from avocado_hvqual.campaign import journal
from avocado_hvqual.errors import JournalError
whole = journal.Journal.append
def full(self, kind, data):
    if kind == "case-end":
        raise JournalError("journal.jsonl: cannot be written: No space left on device.")
    whole(self, kind, data)
journal.Journal.append = full
"""
    done = home.python(seeded + DRIVER, *words(tmp_path / "out", "pass"))
    assert done.returncode not in {0, 1}, done.stdout + done.stderr
    assert "No space left" in done.stdout + done.stderr


def data_of(output: Path, kind: str) -> list[dict[str, Any]]:
    return [line.data for line in journal.read(output).lines if line.kind == kind]


def test_an_overridden_gate_is_passed_and_stands_in_journal_and_verdict(
    home: scratch_vt.Scratch, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    asked = [*words(output, "cancel", "cloud", part=False, gate="stop"), "--override-gate", "the switch is known"]
    done = home.python(DRIVER, *asked, timeout=240)
    assert "closed and overridden (the switch is known)" in done.stdout, done.stdout + done.stderr
    assert data_of(output, "gate-override") == [{"phase": "cloud", "reason": "the switch is known"}]
    assert "qemu:hvqual.scratch.cloud:single_big" in [data["case"] for data in data_of(output, "case-begin")]
    assert last(output) == {"status": "finished"}
    assert any("the switch is known" in reason for reason in verdict(output)["reasons"])
    assert verdict(output)["phase_gates"][-1]["override"] == "the switch is known"


def test_a_critical_finding_is_told_while_the_campaign_runs_and_ends_the_phase(
    home: scratch_vt.Scratch, tmp_path: Path
) -> None:
    """The last case of the phase does not end before somebody was told of what befell the first."""
    output, told = tmp_path / "out", home.root / "state/told"
    asked = [
        *words(output, "pass", "fail", "patient", "cloud"),
        "--on-critical",
        "stop",
        "--notify-command",
        f"tee {told}",
    ]
    done = home.python(scratch_vt.SEED_LOG + DRIVER, *asked, timeout=240)
    news = json.loads(told.read_text(encoding="utf-8").splitlines()[0])
    assert (news["kind"], news["severity"], news["action"]) == ("host-lockup", "critical", "stop")
    (stop,) = data_of(output, "stop")
    assert "soft lockup" in stop["reason"]
    assert [line["problems"] for line in data_of(output, "alarm")] == [[]] * len(data_of(output, "alarm"))
    assert last(output) == {"status": "stopped"}
    assert "qemu:hvqual.scratch.cloud:single_big" not in [data["case"] for data in data_of(output, "case-begin")]
    order = kinds(output)
    assert order.index("stop") < order.index("campaign-end")
    assert order.index("stop") < len(order) - 1 - order[::-1].index("health"), "told before the report of the phase"
    assert any("ended after the case that ran" in note for note in verdict(output)["notes"])
    assert done.returncode not in {0, 1, 2}, done.stdout + done.stderr


def test_an_empty_reason_is_refused_before_anything_is_written(home: scratch_vt.Scratch, tmp_path: Path) -> None:
    done = home.python(DRIVER, *words(tmp_path / "out", "pass"), "--override-gate=", timeout=60)
    assert done.returncode == exit_codes.USAGE
    assert "takes the reason" in done.stderr
    assert not (tmp_path / "out").exists()
