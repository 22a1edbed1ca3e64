# SPDX-License-Identifier: GPL-2.0-or-later
"""Levels of the suite, and a home of its own for all that the tests start."""

import os
from pathlib import Path

import pytest


def pytest_collection_modifyitems(items):
    """Everything below tests/contract is level 2 without having to say so."""
    for item in items:
        if Path(__file__).parent / "contract" in item.path.parents:
            item.add_marker(pytest.mark.contract)


@pytest.fixture(autouse=True, scope="session")
def _home(tmp_path_factory):
    """`import avocado` registers the provider in the user's data folder: here that is a temporary one."""
    before = os.environ.get("HOME")
    os.environ["HOME"] = str(tmp_path_factory.mktemp("home"))
    yield
    if before is not None:
        os.environ["HOME"] = before
