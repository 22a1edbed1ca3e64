# SPDX-License-Identifier: GPL-2.0-or-later
"""The notes of what this desk filed: they stop everything when they cannot be believed."""

import os
import time

import pytest

from avocado_hvqual.errors import TrackerError
from avocado_hvqual.trackers import filing, notes
from avocado_hvqual.trackers.notes import Notes
from tests.trackers.desk import note_files, only_note, rewrite


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', '{"format": 2, "bug": 1}'])
def test_a_note_that_cannot_be_believed_stops_everything(bugzilla, file, tmp_path, text):
    assert file() == 0
    (path,) = note_files(tmp_path)
    path.write_text(text, encoding="utf-8")
    with pytest.raises(TrackerError, match="this desk's note of what was filed"):
        file()
    assert bugzilla.sent("POST", "PUT") == ["POST /rest/bug"]


def test_a_note_is_one_processes_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(notes, "LOCK_SECONDS", 0.2)
    mine, others = (Notes(tmp_path, "https://bugs.example") for _ in range(2))
    with mine.hold("hv1-0123456789ab"):
        with pytest.raises(TrackerError, match="another process to end"), others.hold("hv1-0123456789ab"):
            pass
        with others.hold("hv1-ba9876543210"):
            pass
    with others.hold("hv1-0123456789ab") as note:
        assert note.bug is None


def test_a_note_of_another_fingerprint_is_not_believed(file, tmp_path):
    assert file() == 0
    rewrite(tmp_path, fingerprint="hv1-000000000000")
    with pytest.raises(TrackerError, match="belongs under another name"):
        file()


def test_without_a_place_for_notes_nothing_is_sent(bugzilla, file, tmp_path):
    (tmp_path / "notes").write_text("a file", encoding="utf-8")
    with pytest.raises(TrackerError, match="without them nothing is sent"):
        file()
    assert bugzilla.sent("POST", "PUT") == []


def test_the_note_is_on_disk_before_anything_is_sent(bugzilla, file, tmp_path, monkeypatch):
    seen, synced = [], []
    real_create, real_fsync = filing.Bugzilla.create, os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: (synced.append(descriptor), real_fsync(descriptor)))

    def create(server, draft):
        seen.append((only_note(tmp_path)["begun"] is not None, len(synced)))
        return real_create(server, draft)

    monkeypatch.setattr(filing.Bugzilla, "create", create)
    assert file() == 0
    assert seen == [(True, 2)], "the file and its folder"


def test_addresses_of_one_server_share_their_notes(file, bugzilla, tmp_path):
    for url in (
        bugzilla.url,
        f"{bugzilla.url}/",
        f"{bugzilla.url}/rest",
        f"{bugzilla.url}/rest/",
        f"{bugzilla.url}/xmlrpc.cgi",
    ):
        assert file(url=url) == 0
    assert len(note_files(tmp_path)) == 1
    assert bugzilla.sent("POST") == ["POST /rest/bug"]


def test_a_clock_that_was_set_back_keeps_nothing_waiting_for_ever(file, tmp_path, bugzilla):
    assert file() == 0
    bugzilla.bugs.clear()
    rewrite(tmp_path, bug=None, begun=time.time() + 10**6, sightings={})
    assert file() == 0
    assert len(bugzilla.bugs) == 1
