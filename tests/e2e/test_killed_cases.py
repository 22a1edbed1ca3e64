# SPDX-License-Identifier: GPL-2.0-or-later
"""
A case that is killed in its middle is found to be interrupted, and ``clean`` puts the host back to its state digest.

HVQUAL_KILLED names the folder of a campaign that came to its end: each of its cases is killed when it has recorded as much of its steps
as it had there at half of its time. Without it one case stands for all.
"""

import json
import os
from pathlib import Path

import pytest
from worlds import campaign, kill_all, mended

ONE = [("libvirt:hvqual.lifecycle.snapshot.external:single_big", 4)]


def middles():
    """Return each case with the number of steps in its middle."""
    folder = os.environ.get("HVQUAL_KILLED")
    if not folder:
        return ONE
    files = sorted(Path(folder).glob("jobs/job-*/test-results/*/observations.jsonl"))
    assert files, f"{folder} holds no records of cases"
    return [middle([json.loads(line) for line in file.read_text().splitlines()]) for file in files]


def middle(records):
    """Return the case of *records* with the number of its steps' lines at half of the steps' time; 0 when it had none."""
    steps = [one["mono"] for one in records if one["kind"] == "step"]
    if not steps:
        return records[0]["case"], 0
    half = (steps[0] + steps[-1]) / 2
    return records[0]["case"], sum(at <= half for at in steps)


@pytest.mark.parametrize(("case", "half"), middles(), ids=[case for case, _ in middles()])
def test_a_case_that_is_killed_in_its_middle(node, case, half):
    if not half:
        pytest.skip("the case had no step in that campaign, so it has no middle")
    before = node.state()
    with campaign(node, case=case, profile="lab", hold=1) as run:
        run.reach(lambda: len(run.steps()) >= half, 300, f"{half} lines of steps")
        kill_all(node, run.process)
        records = run.records()
    assert records[-1]["kind"] != "end", "the case had ended before it was killed"
    mended(node, before)
    found = run.findings()
    assert ("interrupted", "major", case) in found or ("interrupted", "critical", case) in found, found
