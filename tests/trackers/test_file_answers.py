# SPDX-License-Identifier: GPL-2.0-or-later
"""What a server may answer to `bugs file`: refusals, nonsense, other reports; nothing of it is believed too far."""

import socket

import pytest

from tests.trackers.bugzilla_server import KEY, FakeBugzilla
from tests.trackers.conftest import run
from tests.trackers.desk import POST, PUT, another_campaign, note_files, only_note


def test_a_wrong_key(bugzilla, file, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("AVOCADO_HVQUAL_BUGZILLA_API_KEY", "another-key-of-mine")
    assert file() == 60
    said = capsys.readouterr()
    assert "The API key you specified is invalid" in said.err
    assert "another-key" not in said.err + said.out
    assert bugzilla.bugs == {}
    assert note_files(tmp_path) == []


def test_a_401_when_filing_is_a_refusal_and_leaves_no_doubt(bugzilla, file, tmp_path, capsys):
    bugzilla.faults[POST] = {
        "status": 401,
        "text": '{"error": true, "code": 410, "message": "You must log in."}',
        "once": True,
    }
    assert file() == 60
    assert "You must log in." in capsys.readouterr().err
    assert only_note(tmp_path)["begun"] is None
    assert file() == 0


def test_a_comment_that_was_refused_leaves_no_doubt(bugzilla, file, tmp_path, monkeypatch, capsys):
    assert file() == 0
    other = another_campaign(tmp_path, monkeypatch)
    bugzilla.faults[PUT] = {"status": 401, "text": '{"error": true, "code": 115, "message": "Not you."}', "once": True}
    assert file(folder=other) == 60
    assert "Not you." in capsys.readouterr().err
    assert file(folder=other) == 0
    assert len(bugzilla.comments[1]) == 2


@pytest.mark.parametrize("text", ["<h1>no</h1>", "[]", '{"error": true}', '"x"'])
def test_a_401_that_is_no_bugzillas(bugzilla, file, text):
    bugzilla.faults[POST] = {"status": 401, "text": text, "once": True}
    assert file() in {60, 61}
    assert bugzilla.bugs == {}


@pytest.mark.parametrize("path", ["/version$", "/bug$"])
@pytest.mark.parametrize(
    "fault",
    [{"status": 500}, {"text": "<html>"}, {"text": "[1]"}, {"drop": True}, {"delay": 1.0}, {"text": '{"bugs": [{}]}'}],
    ids=["500", "not JSON", "a list", "lost", "slow", "no fields"],
)
def test_a_search_that_fails_sends_nothing(bugzilla, file, path, fault, tmp_path, capsys):
    bugzilla.faults["GET", path] = fault
    assert file("--timeout", "0.3") == 60
    assert bugzilla.sent("POST", "PUT") == []
    assert note_files(tmp_path) == []
    assert "Traceback" not in capsys.readouterr().err


def test_a_page_instead_of_json_asks_whether_it_is_a_bugzilla(bugzilla, file, capsys):
    bugzilla.faults["GET", "/version$"] = {"text": "<html>", "headers": {"Content-Type": "text/html"}}
    assert file() == 60
    assert "answered with text/html instead of JSON. Is --url the address of a Bugzilla" in capsys.readouterr().err


def test_nobody_listens(file, capsys):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert file(url=f"http://127.0.0.1:{port}") == 60
    assert "cannot be reached" in capsys.readouterr().err


def test_no_such_name(file, capsys):
    assert file(url="https://bugs.invalid") == 60
    assert "cannot be reached" in capsys.readouterr().err


def test_a_server_that_ignores_the_search_is_not_believed(bugzilla, file, capsys):
    bugzilla.searches = False
    bugzilla.add(whiteboard="", alias=[])
    assert file() == 60
    assert "it cannot be searched so" in capsys.readouterr().err
    assert bugzilla.sent("POST", "PUT") == []


def test_a_fingerprint_within_a_longer_word_is_another(bugzilla, file):
    assert file("--dry-run") == 0
    name = next(one["query"]["whiteboard"][0] for one in bugzilla.asked if "whiteboard" in one["query"])
    bugzilla.add(whiteboard=f"{name}0", alias=[])
    assert file() == 60
    assert bugzilla.sent("POST") == []


def test_a_redirect_is_told_and_not_followed(bugzilla, file, capsys):
    other = FakeBugzilla()
    try:
        bugzilla.faults["GET", "/version$"] = {"status": 302, "headers": {"Location": f"{other.url}/rest/version"}}
        assert file() == 60
        assert other.asked == []
        assert f"sends on to '{other.url}" in capsys.readouterr().err
    finally:
        other.close()


def test_a_duplicate_is_followed_to_what_it_is_one_of(bugzilla, file, tmp_path, monkeypatch):
    assert file() == 0
    target = bugzilla.add(summary="the first of them", whiteboard="", alias=[])
    bugzilla.bugs[1].update(status="RESOLVED", resolution="DUPLICATE", dupe_of=target)
    assert file(folder=another_campaign(tmp_path, monkeypatch)) == 0
    assert len(bugzilla.comments[1]) == 1
    assert len(bugzilla.comments[target]) == 1


def test_of_several_reports_with_the_mark_the_first_is_meant(bugzilla, file, tmp_path, monkeypatch):
    assert file() == 0
    bugzilla.add(whiteboard=bugzilla.bugs[1]["whiteboard"], alias=[])
    assert file(folder=another_campaign(tmp_path, monkeypatch)) == 0
    assert [len(bugzilla.comments[number]) for number in (1, 2)] == [2, 0]


def test_two_duplicates_of_each_other_end(bugzilla, file):
    assert file() == 0
    other = bugzilla.add(dupe_of=1, whiteboard="", alias=[])
    bugzilla.bugs[1]["dupe_of"] = other
    assert file() == 0
    assert len(bugzilla.bugs) == 2


def test_a_bug_that_was_closed_is_told_and_not_filed_anew(bugzilla, file, tmp_path, monkeypatch, capsys):
    assert file() == 0
    bugzilla.bugs[1].update(status="RESOLVED", resolution="FIXED")
    assert file(folder=another_campaign(tmp_path, monkeypatch)) == 0
    assert "is bug 1 (RESOLVED FIXED)" in capsys.readouterr().out
    assert len(bugzilla.bugs) == 1


def test_a_server_that_keeps_no_mark_is_named_and_the_note_holds(bugzilla, file, capsys):
    bugzilla.keeps = ()
    assert file() == 0
    assert "did not keep its mark" in capsys.readouterr().out
    assert file() == 0
    assert len(bugzilla.bugs) == 1


def test_a_report_that_the_key_may_no_longer_see_is_not_filed_again(bugzilla, file, capsys):
    assert file() == 0
    bugzilla.hidden.add(1)
    assert file() == 0
    assert len(bugzilla.bugs) == 1
    assert "bug 1 (which the server does not show)" in capsys.readouterr().out


@pytest.mark.parametrize("auth", ["header", "query", "bearer"])
def test_each_way_of_showing_the_key(campaign, tmp_path, auth):
    server = FakeBugzilla(auth)
    try:
        config = tmp_path / "bugs.yaml"
        config.write_text(f"product: Hypervisor\nauth: {auth}\n", encoding="utf-8")
        assert run("bugs", "file", campaign, "--url", server.url, "--tracker", config) == 0
        assert len(server.bugs) == 1
        assert any(KEY in str(one["query"]) for one in server.asked) is (auth == "query")
    finally:
        server.close()
