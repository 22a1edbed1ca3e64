# SPDX-License-Identifier: GPL-2.0-or-later
"""Levels of the suite, and a home of its own for all that the tests start."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A loaded machine makes examples slow, and some draws of a sound strategy are thrown away in rows: neither says anything of what is tested.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
settings.load_profile("any machine")


def pytest_addoption(parser):
    parser.addoption(
        "--regenerate", action="store_true", help="write the golden files anew instead of comparing with them"
    )


@pytest.fixture
def golden(request):
    """Compare a text with tests/golden/<name>; a file that is missing fails, --regenerate writes it."""

    def compare(name, text):
        path = Path(__file__).parent / "golden" / name
        if request.config.getoption("--regenerate"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.is_file(), f"'{path}' is missing; write it with 'pytest --regenerate' and review it."
        assert path.read_text(encoding="utf-8") == text

    return compare


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
