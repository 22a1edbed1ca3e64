# SPDX-License-Identifier: GPL-2.0-or-later
"""The scratch provider, whose cases are broken again before each test, and a campaign that was killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import scratch_vt
from tests.contract.resume.breaking import broken


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> scratch_vt.Scratch:
    return scratch_vt.build(tmp_path_factory.mktemp("resume"))


@pytest.fixture(autouse=True)
def _unmended(home: scratch_vt.Scratch) -> None:
    for name in ("once", "buggy", "absent"):
        (home.root / "state" / name).unlink(missing_ok=True)


@pytest.fixture(scope="module")
def stopped(home: scratch_vt.Scratch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real campaign that was killed in its second case; not to be changed."""
    output = tmp_path_factory.mktemp("stopped") / "out"
    (home.root / "state" / "once").unlink(missing_ok=True)
    broken(home, output, "fail", "once", "pass", "cloud")
    return output
