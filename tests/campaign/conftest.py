# SPDX-License-Identifier: GPL-2.0-or-later
"""A state home of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from avocado_hvqual.campaign import folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty state home, in the environment."""
    monkeypatch.setenv(folder.HOME_VARIABLE, str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"
