# SPDX-License-Identifier: GPL-2.0-or-later
"""
A real campaign in the lab that breaks at random moments, and goes on: nothing is lost, and the verdict is that of an unbroken run.

HVQUAL_KILLS says how many moments (default 1), HVQUAL_SEED repeats them; the seed is in the message of each failure.
"""

import json
import os
import random
import subprocess
import time

import pytest
from worlds import CASE, campaign, kill_all, mended

from avocado_hvqual import journal_reading
from avocado_hvqual.wait import until

ONLY = f"{CASE},libvirt:hvqual.lifecycle.start:single_big"
KILLS = int(os.environ.get("HVQUAL_KILLS", "1"))
SEED = int(os.environ.get("HVQUAL_SEED", str(random.randrange(10**6))))
"""One campaign of these few cases takes about this many seconds, from its first line to its last."""
LONG = 45.0


def line(*words):
    """Return the command line of a campaign in the lab."""
    return ["avocado", "hvqual", *words, "--lab"]


def begun(node, said, *words):
    """Start a command and return its process, in a group of its own."""
    with said.open("w") as out:
        return subprocess.Popen(
            line(*words),
            env=node.environment,
            cwd=node.home,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )


def power_off(node, process):
    """Cut the host's power under the command."""
    assert node.run("avocado", "hvqual", "lab", "power-off", "hv-a").returncode == 0
    process.wait(60)


def whole(folder):
    """Return what two runs of one campaign have in common: the verdict, its cases and findings, without times and names."""
    found = json.loads((folder / "verdict.json").read_text())
    ours = ("verdict", "basis", "clean", "required", "attempted", "exit_code", "reasons", "next_steps", "not_covered")
    cases = [(case["case"], case["outcome"], [one["answer"] for one in case["criteria"]]) for case in found["cases"]]
    return {
        **{name: found[name] for name in ours},
        "cases": cases,
        "findings": [one["message"] for one in found["findings"]],
    }


@pytest.fixture(scope="module")
def unbroken(node):
    """The same campaign without a break."""
    folder = node.results() / "campaign"
    done = node.run(*line("run", "--profile", "smoke", "--only", ONLY, "--output", str(folder)), timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    return whole(folder)


def lines(folder):
    """Return the whole lines of a journal that may be torn."""
    text = (folder / "journal.jsonl").read_bytes()
    return text[: text.rfind(b"\n") + 1]


@pytest.mark.parametrize("number", range(KILLS))
def test_a_campaign_that_was_killed_at_any_moment_comes_to_the_same_verdict(node, unbroken, number):
    moments = random.Random(SEED + number)
    folder = node.results() / "campaign"
    before = node.state()
    process = begun(
        node, folder.with_suffix(".said"), "run", "--profile", "smoke", "--only", ONLY, "--output", str(folder)
    )
    until(
        lambda: (folder / "journal.jsonl").exists() and b'"plan"' in lines(folder), 90, "the plan to be in the journal"
    )
    breaks = moments.choice((1, 1, 2))
    told = []
    for _ in range(breaks):
        at = time.monotonic() + moments.uniform(0, LONG / breaks)
        until(lambda at=at, process=process: time.monotonic() >= at or process.poll() is not None, 120, "the moment")
        if process.poll() is not None:
            break
        kill_all(node, process)
        told.append(lines(folder))
        process = begun(node, folder.with_suffix(".again"), "resume", str(folder), "--repeat-interrupted", "5")
    status = process.wait(900)
    said = f"HVQUAL_SEED={SEED + number}: {folder.with_suffix('.again').read_text() if told else folder.with_suffix('.said').read_text()}"
    reading = journal_reading.read(folder)
    assert reading.damage == (), said
    assert all((folder / "journal.jsonl").read_bytes().startswith(one) for one in told), said
    # Killed after its last report there is nothing left to be done.
    ended = 2 if told and "has come to its end; to try" in said else 0
    assert (status, reading.lines[-1].data) == (ended, {"status": "finished"}), said
    assert whole(folder) == unbroken, said
    assert node.state()["digest"] == before["digest"], node.differences(before, node.state())


def test_power_failure_of_the_host_is_a_critical_finding_and_the_rest_is_run(node):
    before = node.state()
    with campaign(node) as run:
        run.step("hold")
        power_off(node, run.process)
    assert f"avocado hvqual resume {run.folder} --lab" in run.told
    done = node.run(*line("resume", str(run.folder)), timeout=900)
    found = {
        (one["kind"], one["severity"], one["case"])
        for one in json.loads((run.folder / "verdict.json").read_text())["findings"]
    }
    assert found == {("host-reboot", "critical", CASE)}, done.stdout + done.stderr
    verdict = run.verdict()
    assert [case["attempts"] for case in verdict["cases"]] == [["no end", "PASS"]]
    assert (verdict["attempted"], verdict["required"]) == (1, 1)
    assert run.kinds()[-1] == "campaign-end"
    mended(node, before)
