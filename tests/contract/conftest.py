# SPDX-License-Identifier: GPL-2.0-or-later
"""What the contract tests share: our wheel, an environment with it and one without."""

import importlib.util
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import environments


@pytest.fixture(autouse=True, scope="session")
def _avocado_vt():
    """Level 2 needs avocado-vt; where it is missing the tests are told as skipped, and scripts/test as NOT RUN."""
    if importlib.util.find_spec("avocado_vt") is None:
        pytest.skip("avocado-framework-plugin-vt is not installed in this Python")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    return environments.build_wheel(environments.source_copy(folder / "source"), folder / "dist")


@pytest.fixture(scope="session")
def installed(tmp_path_factory, wheel):
    """An environment with our wheel; not to be changed by a test."""
    root = environments.linked(tmp_path_factory.mktemp("with") / "venv")
    environments.pip("install", "--quiet", "--no-deps", "--no-index", wheel, python=root / "bin" / "python")
    return environments.Environment(root, tmp_path_factory.mktemp("home-with"))


@pytest.fixture(scope="session")
def without_us(tmp_path_factory):
    """The same environment without our wheel."""
    root = environments.linked(tmp_path_factory.mktemp("without") / "venv")
    return environments.Environment(root, tmp_path_factory.mktemp("home-without"))


@pytest.fixture
def fresh(installed, tmp_path):
    """The environment with our wheel, for a user who has never called avocado."""
    return installed.at(tmp_path / "home")
