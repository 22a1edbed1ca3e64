# SPDX-License-Identifier: GPL-2.0-or-later
"""A critical finding is told at once, to a real command and a real server, and nobody who does not listen holds a campaign up."""

import contextlib
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from avocado_hvqual import wait
from avocado_hvqual.campaign import alarm as alarms
from avocado_hvqual.campaign import notify
from avocado_hvqual.campaign.alarm import Alarm
from avocado_hvqual.campaign.criticals import Criticals
from avocado_hvqual.campaign.journal import Journal
from avocado_hvqual.campaign.notify import OnCritical
from avocado_hvqual.ledger import Entry, Ledger
from avocado_hvqual.loader import load_campaign
from avocado_hvqual.model.observation import Problem
from avocado_hvqual.model.plan import Plan
from tests.strategies import CLOUD, POLICY, START, STOP, TODAY, header, planned, row, trace, write_trace

NOT_LATE = 3.0
"""Seconds within which it must be told: two looks, one judgement, one process."""


@contextlib.contextmanager
def server(answers=()):
    """A webhook on loopback that gives these statuses, then 200; yields its URL and what it got."""
    got, left = [], list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append((time.monotonic(), self.path, self.headers["Content-Type"], json.loads(body)))
            status = left.pop(0) if left else 200
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *_):
            pass

    web = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=web.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{web.server_port}/hook?token=secret", got
    finally:
        web.shutdown()
        web.server_close()
        thread.join()


@pytest.fixture
def journal(tmp_path):
    said = header()
    line = {name: getattr(said, name) for name in ("id", "profile", "selection", "lab", "node", "command", "versions")}
    keys = (START, STOP, CLOUD)
    with Journal.create(tmp_path, line) as opened:
        opened.append("plan", Plan("production", tuple(map(planned, keys)), tuple(map(row, keys))).to_json())
        yield opened


@contextlib.contextmanager
def alarm(journal, on, ledger=None, ask=lambda _reason: True, peek=None, close=10.0):
    made = Alarm(journal, on, Criticals(journal.folder, POLICY, ledger or Ledger()), ask)
    made.peek = peek or made.peek
    made.start()
    try:
        yield made
    finally:
        made.close(close)


def case(journal, key=START, kind="guest-panic", message="hvq-1 panicked.", status="FAIL"):
    logdir = f"jobs/{key.split(':')[1]}"
    problems = (Problem(kind, message),) if kind else ()
    write_trace(journal.folder / logdir, trace(key, status="fail" if status == "FAIL" else "pass", message=message))
    path = journal.folder / logdir / "observations.jsonl"
    *lines, last = path.read_text(encoding="utf-8").splitlines()
    lines += [json.dumps({"kind": "problem", "what": one.what, "message": one.message, "vm": None}) for one in problems]
    numbered = [
        {**json.loads(line), "seq": number, "mono": float(number)} for number, line in enumerate([*lines, last])
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in numbered), encoding="utf-8")
    journal.append("case-begin", {"case": key, "logdir": logdir})
    end = {"case": key, "status": status, "fail_reason": message, "fail_class": "", "logdir": logdir, "time": 1.0}
    journal.append("case-end", end)


def lines(journal, kind):
    text = (journal.folder / "journal.jsonl").read_text(encoding="utf-8")
    return [line["data"] for line in map(json.loads, text.splitlines()) if line["kind"] == kind]


def soon(condition):
    return wait.until(condition, NOT_LATE, "the news")


def test_a_critical_finding_is_posted_when_its_case_ends(journal):
    with server() as (url, got), alarm(journal, OnCritical(notify.NOTIFY, (), url)):
        began = time.monotonic()
        case(journal)
        soon(lambda: lines(journal, "alarm"))
    (when, path, kind, news) = got[0]
    assert (len(got), path, kind) == (1, "/hook?token=secret", "application/json")
    assert when - began < NOT_LATE
    assert (news["case"], news["kind"], news["severity"], news["rule"]) == (
        START,
        "guest-panic",
        "critical",
        "guest-down",
    )
    assert (news["campaign"], news["node"]["id"], news["event"]) == ("c-1", "node-7", "critical-finding")
    (line,) = lines(journal, "alarm")
    assert (line["told"], line["problems"], line["fingerprint"]) == (["webhook"], [], news["fingerprint"])


def test_a_command_gets_it_on_stdin_and_no_shell_sees_it(journal, tmp_path):
    out = tmp_path / "got"
    script = "import sys, pathlib; pathlib.Path(sys.argv[1]).write_text(sys.stdin.read() + repr(sys.argv[2:]))"
    words = (sys.executable, "-c", script, str(out), "$(id)", "; touch x")
    with alarm(journal, OnCritical(notify.NOTIFY, words)):
        case(journal, message="hvq-1 panicked: $(reboot) `id`")
        soon(lambda: lines(journal, "alarm"))
    said, _newline, arguments = out.read_text(encoding="utf-8").partition("\n")
    assert json.loads(said)["message"] == "hvq-1 panicked: $(reboot) `id`"
    assert arguments == "['$(id)', '; touch x']"


@pytest.mark.parametrize("kind", ["wrong-result", "wrong-text", None])
def test_what_is_not_critical_is_not_told(journal, kind):
    with server() as (url, got), alarm(journal, OnCritical(notify.NOTIFY, (), url)):
        case(journal, kind=kind, message="it is so", status="FAIL" if kind else "PASS")
    assert (got, lines(journal, "alarm")) == ([], [])


def test_in_the_cloud_phase_everything_is_critical(journal):
    with server() as (url, got), alarm(journal, OnCritical(notify.NOTIFY, (), url)):
        case(journal, CLOUD, "wrong-text")
        soon(lambda: got)
    assert got[0][3]["rule"] == "cloud-phase"


def test_what_is_waived_is_not_told_and_another_is(journal):
    entry = Entry("K-1", "b", "o", pattern="known", waiver_reason="r", waiver_expires=TODAY.replace(year=2999))
    with server() as (url, got), alarm(journal, OnCritical(notify.NOTIFY, (), url), Ledger((entry,))):
        case(journal, START, message="hvq-1 panicked, as is known.")
        case(journal, STOP, message="hvq-1 panicked otherwise.")
        soon(lambda: got)
    assert [one[3]["case"] for one in got] == [STOP]


def event(message="BUG: soft lockup - CPU#1 stuck for 23s!", kind="host-lockup"):
    return {"kind": kind, "message": message, "evidence": "kernel.log"}


def test_what_befalls_the_node_is_told_while_the_case_runs_and_once(journal):
    seen = {START: [event()]}
    with server() as (url, got), alarm(journal, OnCritical(notify.NOTIFY, (), url), peek=lambda _cases: seen):
        journal.append("case-begin", {"case": START, "logdir": None})
        soon(lambda: got)
        journal.append("health", {"case": START, "events": [event("BUG: soft lockup - CPU#2 stuck for 46s!")]})
        case(journal, STOP, kind=None, status="PASS")
    assert [(one[3]["kind"], one[3]["case"]) for one in got] == [("host-lockup", START)]


def test_between_cases_it_is_told_too(journal):
    with server() as (url, got), alarm(journal, OnCritical(notify.NOTIFY, (), url)):
        journal.append("health", {"case": None, "events": [event(), event("a warning", "host-log")]})
        soon(lambda: got)
    assert [one[3]["kind"] for one in got] == ["host-lockup"]


def test_a_webhook_is_tried_again(journal, monkeypatch):
    monkeypatch.setattr(notify, "PAUSE_SECONDS", 0.05)
    with server((503, 500)) as (url, got), alarm(journal, OnCritical(notify.NOTIFY, (), url)):
        case(journal)
        soon(lambda: lines(journal, "alarm"))
    assert len(got) == 3
    assert lines(journal, "alarm")[0]["told"] == ["webhook"]


@pytest.mark.parametrize("answer", [404, 302])
def test_a_webhook_that_refuses_is_noted_without_its_secret_and_the_verdict_stays(journal, monkeypatch, answer):
    monkeypatch.setattr(notify, "PAUSE_SECONDS", 0.05)
    with server((answer,) * 9) as (url, got), alarm(journal, OnCritical(notify.NOTIFY, (), url)):
        case(journal)
        soon(lambda: lines(journal, "alarm"))
    (problem,) = lines(journal, "alarm")[0]["problems"]
    assert f"in 3 tries: it answered {answer}" in problem
    assert "secret" not in problem
    assert {one[1] for one in got} == {"/hook?token=secret"}
    record = load_campaign(journal.folder)
    assert record.notes == (f"A critical finding was not told at once: {problem}",)
    assert record.problems == ()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((sys.executable, "-c", "import sys; sys.exit('no mail today')"), "ended with 1: no mail today"),
        (("/nonexistent/program",), "cannot be run: No such file"),
        ((sys.executable, "-c", "import time; time.sleep(60)"), "did not end in 0.5 s and was killed"),
    ],
)
def test_a_command_that_fails_is_noted_and_the_webhook_told_nevertheless(journal, monkeypatch, words, said):
    monkeypatch.setattr(notify, "COMMAND_SECONDS", 0.5)
    with server() as (url, got), alarm(journal, OnCritical(notify.NOTIFY, words, url)):
        case(journal)
        soon(lambda: lines(journal, "alarm"))
    (line,) = lines(journal, "alarm")
    assert said in line["problems"][0]
    assert (len(got), line["told"]) == (1, ["webhook"])


def test_a_notifier_that_hangs_holds_nothing_up(journal):
    words = (sys.executable, "-c", "import time; time.sleep(20)")
    with alarm(journal, OnCritical(notify.NOTIFY, words), close=0.5) as made:
        began = time.monotonic()
        case(journal)
        case(journal, STOP, kind=None, status="PASS")
        assert time.monotonic() - began < 1.0
        wait.until(lambda: made._ended.is_set() or time.monotonic() - began > 1.5, 3, "a moment")
        closing = time.monotonic()
    assert time.monotonic() - closing < NOT_LATE
    assert "not all could be told" in lines(journal, "alarm")[-1]["problems"][0]


def test_stop_asks_for_the_end_before_it_tells_and_once(journal):
    asked = []

    def ask(reason):
        asked.append((time.monotonic(), reason))
        return len(asked) == 1

    with server() as (url, got), alarm(journal, OnCritical(notify.STOP, (), url), ask=ask):
        case(journal)
        case(journal, STOP, message="hvq-2 panicked otherwise.")
        soon(lambda: len(got) == 2)
    assert asked[0][0] < got[0][0]
    (line,) = lines(journal, "stop")
    assert START in line["reason"]
    assert "hvq-1 panicked." in line["reason"]
    assert any("was ended after the case that ran" in note for note in load_campaign(journal.folder).notes)


def test_without_being_asked_nobody_looks(journal):
    with server() as (url, got), alarm(journal, OnCritical(notify.NONE, (), url)) as made:
        assert not made._thread.is_alive()
        case(journal)
    assert (got, lines(journal, "alarm")) == ([], [])


def test_what_went_before_is_not_told_again(journal):
    case(journal)
    with server() as (url, got), alarm(journal, OnCritical(notify.NOTIFY, (), url)):
        case(journal, STOP, message="hvq-2 panicked otherwise.")
        soon(lambda: got)
    assert [one[3]["case"] for one in got] == [STOP]


def test_an_alarm_that_breaks_is_noted_once_and_goes_on(journal):
    def peek(_cases):
        message = "no kernel log"
        raise OSError(message)

    with server() as (url, got), alarm(journal, OnCritical(notify.NOTIFY, (), url), peek=peek):
        case(journal)
        soon(lambda: got)
        wait.until(lambda: lines(journal, "alarm"), NOT_LATE, "the note")
    broke = [line for line in lines(journal, "alarm") if line["problems"]]
    assert [line["problems"] for line in broke] == [["The alarm broke: OSError: no kernel log"]]


def test_a_look_is_often():
    assert alarms.LOOK_SECONDS <= 1.0
