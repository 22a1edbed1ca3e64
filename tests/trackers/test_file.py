# SPDX-License-Identifier: GPL-2.0-or-later
"""`bugs file` against a server that speaks Bugzilla's REST: each fingerprint once, whatever goes wrong in between."""

import json
import logging
import os
import socket
import subprocess
import sys
import threading
import time

import pytest

from avocado_hvqual.errors import DefinitionError, TrackerError
from avocado_hvqual.trackers import cli, filing, notes
from avocado_hvqual.trackers.notes import Notes
from avocado_hvqual.wait import until
from tests import strategies as make
from tests.trackers.bugzilla_server import KEY, FakeBugzilla
from tests.trackers.conftest import broken, run

POST, PUT = ("POST", "/bug$"), ("PUT", "/bug/")


def note_files(tmp_path):
    return sorted((tmp_path / "notes").rglob("*.json"))


def only_note(tmp_path):
    (path,) = note_files(tmp_path)
    return json.loads(path.read_text(encoding="utf-8"))


def rewrite(tmp_path, **changes):
    (path,) = note_files(tmp_path)
    path.write_text(json.dumps({**only_note(tmp_path), **changes}), encoding="utf-8")


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


def another_campaign(tmp_path, monkeypatch, number=2):
    head = make.header(id=f"c-{number}", node={"id": "node-8", "hostname": "hv8.example"})
    monkeypatch.setattr(make, "header", lambda **_changes: head)
    return broken(tmp_path / f"campaign-{number}", value=99.0)


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


# --- killed, or left without an answer ---


def killed_when(monkeypatch, owner, name, *, after):
    """Let the process die in *name*: a kill, seen from the code, is an end that nothing catches."""

    class Killed(BaseException):
        pass

    real = getattr(owner, name)

    def dies(*args, **kwargs):
        if after:
            real(*args, **kwargs)
        raise Killed

    monkeypatch.setattr(owner, name, dies)
    return Killed


@pytest.mark.parametrize("settle", ["900", "0"])
def test_killed_after_the_server_took_it_and_before_the_note(bugzilla, file, tmp_path, settle, monkeypatch):
    with monkeypatch.context() as patch:
        killed = killed_when(patch, filing.Bugzilla, "create", after=True)
        with pytest.raises(killed):
            file()
    assert only_note(tmp_path)["bug"] is None
    assert only_note(tmp_path)["begun"] is not None
    assert file("--settle", settle) == 0
    assert len(bugzilla.bugs) == 1
    assert bugzilla.sent("POST", "PUT") == ["POST /rest/bug"]
    assert only_note(tmp_path)["bug"] == 1


def test_killed_before_anything_was_sent(bugzilla, file, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        killed = killed_when(patch, filing.Bugzilla, "create", after=False)
        with pytest.raises(killed):
            file()
    assert file() == 61, "a slow server may yet take it"
    assert "nobody knows whether it arrived" in capsys.readouterr().out
    assert bugzilla.bugs == {}
    assert file("--settle", "0") == 0
    assert len(bugzilla.bugs) == 1


def test_killed_between_a_comment_and_its_note(bugzilla, file, tmp_path, monkeypatch):
    assert file() == 0
    other = another_campaign(tmp_path, monkeypatch)
    with monkeypatch.context() as patch:
        killed = killed_when(patch, filing.Bugzilla, "comment", after=True)
        with pytest.raises(killed):
            file(folder=other)
    assert file("--settle", "0", folder=other) == 0
    assert len(bugzilla.comments[1]) == 2


def test_killed_before_a_comment_was_sent(bugzilla, file, tmp_path, monkeypatch):
    assert file() == 0
    other = another_campaign(tmp_path, monkeypatch)
    with monkeypatch.context() as patch:
        killed = killed_when(patch, filing.Bugzilla, "comment", after=False)
        with pytest.raises(killed):
            file(folder=other)
    assert file(folder=other) == 61
    assert len(bugzilla.comments[1]) == 1
    assert file("--settle", "0", folder=other) == 0
    assert len(bugzilla.comments[1]) == 2


def test_a_real_kill_between_the_server_and_the_note(bugzilla, campaign, tmp_path):
    """SIGKILL while the server, which has the report, has not answered yet."""
    bugzilla.faults[POST] = {"after": True, "once": True, "delay": 30}
    program = "import sys; from avocado_hvqual.trackers import cli; import argparse; p = argparse.ArgumentParser();"
    program += "cli.add_parser(p.add_subparsers(dest='verb')); sys.exit(cli.run(p.parse_args(sys.argv[1:])))"
    where = ["--url", bugzilla.url, "--product", "Hypervisor", "--notes", str(tmp_path / "notes")]
    process = subprocess.Popen([sys.executable, "-c", program, "bugs", "file", str(campaign), *where])
    cli.api_key  # noqa: B018 - the module that the program imports
    until(lambda: bugzilla.bugs or process.poll() is not None, 60, "the server to have the report")
    process.kill()
    assert process.wait() == -9
    assert bugzilla.bugs
    taken = len(bugzilla.bugs)
    known = {bug["whiteboard"] for bug in bugzilla.bugs.values()}
    run("bugs", "file", campaign, *where)
    marks = [bug["whiteboard"] for bug in bugzilla.bugs.values()]
    assert len(marks) == len(set(marks)) >= taken
    assert known <= set(marks)


@pytest.mark.parametrize(
    "fault",
    [
        {"after": True, "status": 500, "text": "<h1>Internal Server Error</h1>"},
        {"after": True, "text": "<html>maintenance</html>"},
        {"after": True, "text": "[]"},
        {"after": True, "text": '{"no": "id"}'},
        {"after": True, "drop": True},
        {"after": True, "delay": 1.5},
    ],
    ids=["500", "not JSON", "a list", "no id", "connection lost", "slow answer"],
)
def test_an_answer_that_never_came_is_no_second_report(bugzilla, file, capsys, fault):
    bugzilla.faults[POST] = {**fault, "once": True}
    assert file("--timeout", "0.5") == 61
    assert "Nobody knows whether it arrived" in capsys.readouterr().err
    assert len(bugzilla.bugs) == 1
    assert file("--settle", "0") == 0
    assert len(bugzilla.bugs) == 1


def test_a_server_that_takes_it_late_has_it_once(bugzilla, file):
    """The request is cut off at its end of time, and carried out later: sent again in between it would be there twice."""
    bugzilla.keeps = ("whiteboard",)
    bugzilla.faults[POST] = {"delay": 0.8, "status": 500, "once": True}
    assert file("--timeout", "0.3") == 61
    assert file() == 61
    assert bugzilla.sent("POST") == ["POST /rest/bug"]


def test_two_processes_at_once_file_it_once(bugzilla, file):
    bugzilla.faults[POST] = {"after": True, "once": True, "delay": 0.5, "text": '{"id": 1}'}
    threads = [threading.Thread(target=file) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bugzilla.sent("POST") == ["POST /rest/bug"]


def test_another_desk_that_was_quicker(bugzilla, file, monkeypatch, capsys):
    """It files between our search and our report: the alias is unique, so the server refuses the second one."""
    assert file() == 0
    monkeypatch.setattr(filing.Bugzilla, "find", lambda _self, _name: None)
    assert file("--notes", "elsewhere") == 60
    assert "Somebody has filed" in capsys.readouterr().err
    assert len(bugzilla.bugs) == 1


# --- what the server may answer ---


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


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


# --- the key shows nowhere ---


@pytest.mark.parametrize("auth", ["header", "query", "bearer"])
@pytest.mark.parametrize(
    "fault",
    [
        None,
        {"status": 500},
        {"status": 401, "text": f"no: {KEY}"},
        {"status": 400, "text": json.dumps({"error": True, "code": 306, "message": f"{KEY} is wrong"})},
        {"text": KEY},
        {"drop": True},
    ],
)
def test_the_key_is_in_no_output_no_log_and_no_file(campaign, tmp_path, auth, fault, capsys, caplog):
    caplog.set_level(logging.DEBUG)
    server = FakeBugzilla(auth)
    try:
        if fault:
            server.faults[POST] = fault
        config = tmp_path / "bugs.yaml"
        config.write_text(f"product: Hypervisor\nauth: {auth}\n", encoding="utf-8")
        status = run("bugs", "file", campaign, "--url", server.url, "--tracker", config, "--notes", tmp_path / "notes")
    finally:
        server.close()
    assert (status == 0) is (fault is None)
    said = capsys.readouterr()
    files = "".join(path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file())
    forms = {KEY, "s3cr3t%2FKey", "s3cr3t/Key"}
    assert "urllib3" in {record.name.partition(".")[0] for record in caplog.records}, "else nothing was looked at"
    for text in (said.out, said.err, caplog.text, files):
        assert not [form for form in forms if form in text]


def test_no_other_credentials_are_sent(bugzilla, file, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password secret\n", encoding="utf-8")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    assert file() == 0
    assert bugzilla.asked
    assert not [one for one in bugzilla.asked if "Authorization" in one["headers"] or "Cookie" in one["headers"]]


def test_the_key_is_no_argument(capsys):
    with pytest.raises(SystemExit):
        run("bugs", "file", "--help")
    assert "api-key-file" in capsys.readouterr().out
    with pytest.raises(SystemExit) as caught:
        run("bugs", "file", "x", "--url", "http://127.0.0.1", "--api-key", KEY)
    assert caught.value.code == 2
    assert KEY not in capsys.readouterr().err


# --- usage ---


def test_a_dry_run_only_asks_and_writes_nothing(bugzilla, file, tmp_path, monkeypatch, capsys):
    assert file("--dry-run") == 0
    assert "would be filed" in capsys.readouterr().out
    assert {one["method"] for one in bugzilla.asked} == {"GET"}
    assert not (tmp_path / "notes").exists()
    assert file() == 0
    assert file("--dry-run") == 0
    assert "nothing to do; is bug 1 (NEW)" in capsys.readouterr().out
    assert file("--dry-run", folder=another_campaign(tmp_path, monkeypatch)) == 0
    assert "would be told of this campaign" in capsys.readouterr().out
    assert bugzilla.sent("POST", "PUT") == ["POST /rest/bug"]


def test_a_dry_run_needs_no_key(bugzilla, file, monkeypatch):
    monkeypatch.delenv("AVOCADO_HVQUAL_BUGZILLA_API_KEY")
    assert file("--dry-run") == 0
    with pytest.raises(TrackerError, match="There is no API key"):
        file()
    assert bugzilla.sent("POST") == []


@pytest.mark.parametrize(
    "url",
    [
        "bugs.example",
        "ftp://x",
        f"https://me:{KEY}@x",
        f"https://x/?Bugzilla_api_key={KEY}",
        "https://",
        "https://me:secret@bugs.example.org",
        "https://x:port",
    ],
)
def test_a_wrong_address_is_refused_without_repeating_it(file, url):
    with pytest.raises(TrackerError, match="has to be the address of a Bugzilla") as caught:
        file(url=url)
    assert KEY not in str(caught.value)


def test_a_key_goes_over_no_open_line(file, tmp_path):
    with pytest.raises(TrackerError, match="unencrypted"):
        file(url="http://bugs.example.org")


def test_python_bugzilla_is_asked_for_only_where_it_is_needed(file, campaign, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "bugzilla", None)
    assert run("bugs", "draft", campaign) == 0
    with pytest.raises(TrackerError, match=r"pip install 'avocado-hvqual\[bugzilla\]'"):
        file()


def test_no_library_of_the_tracker_is_loaded_by_the_verbs():
    program = "import sys, avocado_hvqual.trackers.cli as c; sys.exit(bool({'bugzilla', 'requests', 'urllib3'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_product_is_needed(campaign, bugzilla):
    with pytest.raises(DefinitionError, match="needs a product"):
        run("bugs", "file", campaign, "--url", bugzilla.url)


@pytest.mark.parametrize(
    "words", [("--timeout", "0"), ("--timeout", "nan"), ("--settle", "-1"), ("--fingerprint", "x")]
)
def test_wrong_usage_is_2(file, words):
    with pytest.raises(SystemExit) as caught:
        file(*words)
    assert caught.value.code == 2


def test_one_refusal_does_not_keep_the_next_one_back_and_three_do(bugzilla, capsys):
    class Drafted:
        def __init__(self, number):
            self.fingerprint, self.known, self.sighting = f"hv1-{number:012x}", "", "x"

    class Refusing:
        notes = Notes(cli.default_folder(), bugzilla.url)

        def carry_out(self, draft, _note):
            tried.append(draft.fingerprint)
            raise error

    tried, error = [], cli.RefusedError("no")
    assert cli._each([Drafted(number) for number in range(5)], Refusing(), dry=False) == 60
    assert len(tried) == 3
    assert "2 reports more not tried" in capsys.readouterr().err


def test_what_the_ledger_knows_is_not_filed(bugzilla, file, tmp_path, capsys):
    ledger = tmp_path / "issues.yaml"
    ledger.write_text(
        "issues:\n- {id: K-1, bug: 'https://bugs.example/7', owner: ops, state: open, signature: {pattern: guest_ready}}\n",
        encoding="utf-8",
    )
    assert file("--ledger", ledger) == 0
    assert "is known in the ledger as https://bugs.example/7; not filed" in capsys.readouterr().out
    assert bugzilla.bugs == {}


# --- notes ---


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
