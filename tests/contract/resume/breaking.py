# SPDX-License-Identifier: GPL-2.0-or-later
"""Real campaigns over the scratch provider that are begun, killed at a known place, and gone on with."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from avocado_hvqual import wait
from avocado_hvqual.campaign import processes
from tests import scratch_vt
from tests.contract.test_campaign import DRIVER, verdict

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
LABELS = ("fail", "once", "pass", "cloud")


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
