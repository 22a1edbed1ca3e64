# SPDX-License-Identifier: GPL-2.0-or-later
"""The evidence that a report names: its sum, whether it changed, and nothing that lies outside the campaign."""

import hashlib
import os
import re

import pytest

from avocado_hvqual.trackers import sums


def test_sums(tmp_path):
    (tmp_path / "a.log").write_bytes(b"x")
    real = hashlib.sha256(b"x").hexdigest()
    assert sums.told(tmp_path, "a.log", {}) == f"sha256 {real}, 1 bytes"
    assert sums.told(tmp_path, "a.log", {"a.log": real}) == f"sha256 {real}, 1 bytes"
    assert "CHANGED since its test recorded 00" in sums.told(tmp_path, "a.log", {"a.log": "00"})
    assert sums.told(tmp_path, "gone.log", {"gone.log": "11"}).endswith("; sha256 when it was recorded: 11")
    assert sums.told(tmp_path, ".", {}) == "a folder"


@pytest.mark.parametrize("path", ["/etc/passwd", "../outside", "link", "a/../../outside", "a\x00b", "x" * 5000, "pipe"])
def test_nothing_outside_the_campaign_is_read(tmp_path, path):
    folder = tmp_path / "campaign"
    (folder / "a").mkdir(parents=True)
    (tmp_path / "outside").write_text("secret", encoding="utf-8")
    (folder / "link").symlink_to(tmp_path / "outside")
    os.mkfifo(folder / "pipe")
    assert not re.search(r"sha256 [0-9a-f]", sums.told(folder, path, {}))


def test_a_file_too_large_is_named_with_what_its_test_recorded(tmp_path, monkeypatch):
    monkeypatch.setattr(sums, "LARGEST", 3)
    (tmp_path / "dump").write_bytes(b"12345")
    assert sums.told(tmp_path, "dump", {"dump": "ab"}) == "sha256 ab, 5 bytes"
    assert sums.told(tmp_path, "dump", {}) == "sha256 not taken, 5 bytes"
