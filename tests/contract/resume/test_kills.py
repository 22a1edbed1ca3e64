# SPDX-License-Identifier: GPL-2.0-or-later
"""A campaign that is killed at any moment comes to the verdict of an unbroken run."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from avocado_hvqual import exit_codes, wait
from avocado_hvqual.campaign import journal, processes
from tests import scratch_vt
from tests.contract.resume.breaking import (
    begin,
    go,
    run_output,
    whole,
)

pytestmark = [
    pytest.mark.contract,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: without the kernel log the host's health is unknown"),
]


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
    assert whole(output) == unbroken[0], said
