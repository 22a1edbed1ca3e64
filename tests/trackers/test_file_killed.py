# SPDX-License-Identifier: GPL-2.0-or-later
"""`bugs file` that is killed, or left without an answer, files nothing twice."""

import subprocess
import sys
import threading

import pytest

from avocado_hvqual.trackers import cli, filing
from avocado_hvqual.wait import until
from tests.trackers.conftest import run
from tests.trackers.desk import POST, another_campaign, only_note


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
