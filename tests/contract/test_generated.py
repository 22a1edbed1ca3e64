# SPDX-License-Identifier: GPL-2.0-or-later
"""The lists of tests that are generated beside providers that avocado-vt cannot list."""

from pathlib import Path

import pytest

from avocado_hvqual.registration import generated


def test_what_avocado_vt_writes_late_does_not_get_into_our_list(tmp_path, monkeypatch):
    """It fails with its file open: what that had not written yet comes once it is closed, whenever that is."""
    bootstrap, data_dir = (pytest.importorskip(f"virttest.{name}") for name in ("bootstrap", "data_dir"))
    left = []

    def fails(vt_type):
        left.append((Path(data_dir.DATA_DIR) / "backends" / vt_type / "cfg" / "subtests.cfg").open("w"))
        left[-1].write("- half a line of anoth")
        raise ValueError(vt_type)

    monkeypatch.setattr(bootstrap, "create_subtests_cfg", fails)
    assert len(generated.generate(tmp_path, ours=False)) == len(generated.VT_TYPES)
    for file in left:
        file.close()
    lists = [path.read_text(encoding="utf-8") for path in generated.subtests(tmp_path)]
    assert all(text.startswith("variants subtest:\n") for text in lists), lists
    assert not [text for text in lists if "half a line" in text]
