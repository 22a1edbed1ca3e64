# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of the undo log work on."""

import pytest

from provider.hvqual import settings_file, undo


@pytest.fixture
def log(tmp_path):
    """An empty undo log."""
    return undo.UndoLog(tmp_path / "home", "local")


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    """A folder whose files count as the kernel's."""
    folder = tmp_path / "proc"
    folder.mkdir()
    monkeypatch.setattr(settings_file, "KERNEL_ROOTS", (f"{folder}/",))
    return folder
