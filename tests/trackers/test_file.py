# SPDX-License-Identifier: GPL-2.0-or-later
"""`bugs file` against a server that speaks Bugzilla's REST: each fingerprint once, and one comment a further campaign."""

from tests.trackers.desk import another_campaign


def test_a_report_is_filed_with_its_fields(bugzilla, file, capsys):
    assert file() == 0
    (bug,) = bugzilla.bugs.values()
    name = bug["whiteboard"]
    assert bug["alias"] == [name]
    assert (bug["product"], bug["severity"], bug["version"], bug["op_sys"]) == (
        "Hypervisor",
        "major",
        "unspecified",
        "Linux",
    )
    assert bug["component"] == "qemu"
    assert "'guest_ready': the largest of 1 sample is 11 s; the limit is 'max <= 10 s'" in bug["summary"]
    assert f"Sighting: {name} in campaign c-1 on node node-7" in bug["description"].splitlines()
    assert f"{name}: is filed as bug 1, {bugzilla.url}/show_bug.cgi?id=1\n" in capsys.readouterr().out


def test_it_is_filed_once(bugzilla, file, capsys):
    assert file() == 0
    assert file() == 0
    assert bugzilla.sent("POST", "PUT") == ["POST /rest/bug"]
    assert "is bug 1 (NEW)" in capsys.readouterr().out


def test_another_desk_without_a_note_files_it_not_again(bugzilla, file, tmp_path):
    assert file() == 0
    assert file("--notes", tmp_path / "other") == 0
    assert bugzilla.sent("POST", "PUT") == ["POST /rest/bug"], "its own text says that it was told of this campaign"


def test_a_further_sighting_is_one_comment_a_campaign(bugzilla, file, tmp_path, monkeypatch, capsys):
    assert file() == 0
    other = another_campaign(tmp_path, monkeypatch)
    assert file(folder=other) == 0
    assert "it is told of this campaign now" in capsys.readouterr().out
    assert file(folder=other) == 0
    assert file(folder=other) == 0
    assert bugzilla.sent("POST", "PUT") == ["POST /rest/bug", "PUT /rest/bug/1"]
    first, comment = bugzilla.comments[1]
    assert comment.startswith("Seen again.\n")
    assert "in campaign c-2 on node node-8" in comment
    assert "c-2" not in first


def test_what_a_guest_says_is_no_sighting(bugzilla, file, tmp_path, monkeypatch):
    assert file() == 0
    name = bugzilla.bugs[1]["whiteboard"]
    bugzilla.comments[1].append(f"  it said: Sighting: {name} in campaign c-2 on node node-8\n")
    assert file(folder=another_campaign(tmp_path, monkeypatch)) == 0
    assert len(bugzilla.comments[1]) == 3


def test_a_comment_that_another_desk_wrote_is_not_written_again(bugzilla, file, tmp_path, monkeypatch):
    assert file() == 0
    other = another_campaign(tmp_path, monkeypatch)
    assert file(folder=other) == 0
    assert file("--notes", tmp_path / "desk-2", folder=other) == 0
    assert len(bugzilla.comments[1]) == 2
