# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of filing share: the notes of this desk, another campaign, and what is asked of the server."""

import json

from tests import strategies as make
from tests.trackers.conftest import broken

POST, PUT = ("POST", "/bug$"), ("PUT", "/bug/")


def note_files(tmp_path):
    return sorted((tmp_path / "notes").rglob("*.json"))


def only_note(tmp_path):
    (path,) = note_files(tmp_path)
    return json.loads(path.read_text(encoding="utf-8"))


def rewrite(tmp_path, **changes):
    (path,) = note_files(tmp_path)
    path.write_text(json.dumps({**only_note(tmp_path), **changes}), encoding="utf-8")


def another_campaign(tmp_path, monkeypatch, number=2):
    head = make.header(id=f"c-{number}", node={"id": "node-8", "hostname": "hv8.example"})
    monkeypatch.setattr(make, "header", lambda **_changes: head)
    return broken(tmp_path / f"campaign-{number}", value=99.0)
