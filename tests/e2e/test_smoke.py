# SPDX-License-Identifier: GPL-2.0-or-later
"""The whole way, as a user goes it: the smoke profile in the lab ends in a clean SELECTION and leaves the host as it was."""

import json
import os
import random
import subprocess
import time

from worlds import kill_all

from avocado_hvqual.wait import until


def start(node, folder):
    """Start a smoke run and return its process, in a group of its own."""
    command = ["avocado", "hvqual", "run", "--lab", "--profile", "smoke", "--output", str(folder)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, env=node.environment, cwd=node.home, start_new_session=True, **quiet)


def test_smoke_is_clean(node):
    """Every selected case is attempted, nothing is found, the reports are there, the host is as it was."""
    folder = node.results() / "campaign"
    before = node.digest()
    done = node.run("avocado", "hvqual", "run", "--lab", "--profile", "smoke", "--output", str(folder), timeout=900)
    verdict = json.loads((folder / "verdict.json").read_text())
    assert (verdict["verdict"], verdict["findings"], done.returncode) == ("SELECTION", [], 0), done.stdout
    assert verdict["attempted"] == verdict["required"] > 0
    assert "<html" in (folder / "report.html").read_text()
    assert node.digest() == before


def test_kill_9_then_clean(node):
    """
    After a kill -9 of the whole run at a random moment, ``clean`` brings the host back and the journal is whole.

    HVQUAL_KILLS says how many moments (default 1); the seed is printed.
    """
    seed = random.randrange(10**6)
    moments = random.Random(seed)
    before = node.digest()
    for _ in range(int(os.environ.get("HVQUAL_KILLS", "1"))):
        folder = node.results() / "campaign"
        process = start(node, folder)
        until(lambda folder=folder: (folder / "journal.jsonl").exists(), 60, "the journal to begin")
        at = time.monotonic() + moments.uniform(0, 60)
        until(lambda at=at: time.monotonic() >= at, 61, "the moment of the kill")
        kill_all(node, process)
        cleaned = node.inside("avocado", "hvqual", "clean")
        assert cleaned.returncode == 0, (seed, cleaned.stdout, cleaned.stderr)
        assert node.digest() == before, seed
        judged = node.run("avocado", "hvqual", "verdict", str(folder))
        assert "tampered" not in judged.stdout, (seed, judged.stdout)
