# SPDX-License-Identifier: GPL-2.0-or-later
"""What broke a campaign is told when it goes on: a reboot, the node's last words, what the test saw; each once, and nothing of before."""

from __future__ import annotations

import contextlib
import json

import pytest

from avocado_hvqual.campaign import breaks, notify
from avocado_hvqual.campaign.journal import Journal
from avocado_hvqual.campaign.notify import OnCritical
from avocado_hvqual.ledger import Entry, Ledger
from avocado_hvqual.loader import load_campaign
from avocado_hvqual.model.plan import Plan
from tests.campaign.test_alarm import alarm, case, event, lines, server, soon
from tests.strategies import CLOUD, START, STOP, TODAY, header, judged, planned, row, trace, write_trace

RESULT = "jobs/start"
OLD, NEW = "boot-1", "boot-2"


@pytest.fixture
def folder(tmp_path):
    """A campaign whose process died while its first case ran."""
    said = header()
    line = {name: getattr(said, name) for name in ("id", "profile", "selection", "lab", "node", "command", "versions")}
    keys = (START, STOP, CLOUD)
    with Journal.create(tmp_path, line) as opened:
        opened.append("plan", Plan("production", tuple(map(planned, keys)), tuple(map(row, keys))).to_json())
    with again(tmp_path, OLD) as opened:
        opened.append("case-begin", {"case": START, "logdir": RESULT})
    return tmp_path


@contextlib.contextmanager
def again(folder, boot):
    """The journal, opened on that boot."""
    with Journal.open(folder) as journal:
        journal._boot_id = boot
        yield journal


@pytest.fixture(autouse=True)
def _boot(monkeypatch):
    monkeypatch.setattr("avocado_hvqual.health.identity.boot", lambda: OLD)


def goes_on(journal, verb="resume"):
    journal.append("continued", {"verb": verb, "command": "x", "cases": [START]})


def told(folder, boot=NEW, *, action=notify.NOTIFY, ledger=None, ask=lambda _reason: True, also=lambda _journal: None):
    """Go on with the campaign on a boot, and return what was posted."""
    with server() as (url, got), again(folder, boot) as journal:
        also(journal)
        goes_on(journal)
        with alarm(journal, OnCritical(action, (), url), ledger, ask=ask):
            pass
    return [(news["kind"], news["case"]) for _when, _path, _type, news in got]


def test_a_reboot_that_resume_finds_is_told_and_once(folder):
    assert told(folder) == [("host-reboot", START)]
    with again(folder, NEW) as journal:
        (line,) = lines(journal, "alarm")
    assert line["message"] == f"The node booted anew during '{START}', and nobody had announced it."
    assert ("host-reboot", START) in {(one.kind.value, one.case) for one in judged(load_campaign(folder)).findings}
    assert told(folder) == [], "it was told"


def test_a_second_reboot_of_the_same_case_is_told_too(folder):
    assert told(folder) == [("host-reboot", START)]
    with again(folder, NEW) as journal:
        journal.append("case-begin", {"case": START, "logdir": "jobs/again"})
    assert told(folder, "boot-3") == [("host-reboot", START)]


def test_a_reboot_behind_a_reboot_that_was_told_is_told_too(folder):
    assert told(folder) == [("host-reboot", START)]
    assert told(folder, "boot-3") == [("host-reboot", "")]
    assert told(folder, "boot-4") == [("host-reboot", "")], "it says the same, and is another one"


def test_the_same_boot_and_an_announced_one_tell_nothing(folder):
    assert told(folder, OLD) == []
    with again(folder, OLD) as journal:
        journal.append("reboot-planned", {"reason": "new kernel"})
    assert told(folder) == []


def test_who_was_killed_before_anything_was_told_is_made_up_for(folder):
    with again(folder, NEW) as journal:
        goes_on(journal)
    assert told(folder) == [("host-reboot", START)]


def test_a_reboot_that_clean_wrote_down_is_told(folder):
    with again(folder, NEW) as journal:
        journal.append("campaign-end", {"status": "interrupted"})
    assert told(folder) == [("host-reboot", START)]


@pytest.mark.parametrize(("status", "expected"), [("finished", 0), ("stopped", 0), ("interrupted", 1)])
def test_a_boot_after_the_end_befell_no_campaign_unless_somebody_broke_it_off(folder, status, expected):
    with again(folder, OLD) as journal:
        case(journal, kind=None, status="PASS")
        journal.append("health-state", {"case": None, "state": "known", "reason": ""})
        journal.append("campaign-end", {"status": status})
    assert told(folder) == [("host-reboot", "")] * expected
    record = load_campaign(folder)
    assert [one.kind.value for one in judged(record).findings].count("host-reboot") == expected, (
        "the judge says the same"
    )
    assert ("booted anew after the campaign had come to its end" in " ".join(record.notes)) == (not expected)
    assert told(folder, "boot-3") == [("host-reboot", "")], "this one befell it"


def test_the_nodes_last_words_are_told(folder):
    def last_words(journal):
        journal.append("health", {"case": START, "events": [event("Kernel panic - not syncing: oops", "host-panic")]})
        journal.append("health", {"case": None, "events": [event("a warning", "host-log")]})

    assert told(folder, also=last_words) == [("host-reboot", START), ("host-panic", START)]


def test_what_the_test_saw_before_it_was_cut_off_is_told(folder):
    write_trace(folder / RESULT, trace(START, status=None, digest_after=None))
    path = folder / RESULT / "observations.jsonl"
    more = {"kind": "problem", "seq": len(path.read_text(encoding="utf-8").splitlines()), "mono": 9.0}
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({**more, "what": "guest-panic", "message": "hvq-1 panicked.", "vm": None}) + "\n")
    assert told(folder, OLD) == [("guest-panic", START)]
    assert told(folder, OLD) == []


def test_what_was_told_before_the_process_died_is_not_told_again(folder):
    with server() as (url, got), again(folder, OLD) as journal, alarm(journal, OnCritical(notify.NOTIFY, (), url)):
        journal.append("health", {"case": START, "events": [event()]})
        soon(lambda: got)
    assert told(folder, OLD, also=lambda journal: journal.append("health", {"case": START, "events": [event()]})) == []


def test_what_a_process_that_lived_saw_is_not_told_again(folder):
    with again(folder, OLD) as journal:
        case(journal)
        journal.append("health", {"case": STOP, "events": [event()]})
        journal.append("health-state", {"case": None, "state": "known", "reason": ""})
        journal.append("campaign-end", {"status": "interrupted"})
    assert told(folder, OLD) == []


def test_stop_asks_for_the_end_before_a_phase_begins_and_goes_on_the_next_time(folder):
    asked = []
    with again(folder, NEW) as journal:
        goes_on(journal)
        with alarm(journal, OnCritical(notify.STOP), ask=lambda reason: not asked.append(reason)) as made:
            made.now()
            assert len(asked) == 1, "the look has asked before anything can begin"
        (line,) = lines(journal, "stop")
    assert "host-reboot" in line["reason"]
    assert told(folder, NEW, action=notify.STOP, ask=lambda reason: not asked.append(reason)) == []
    assert len(asked) == 1


def test_who_asks_for_nothing_is_told_nothing(folder):
    assert told(folder, action=notify.NONE) == []
    with again(folder, NEW) as journal:
        assert lines(journal, "alarm") == []


def test_a_waiver_does_not_hide_a_reboot(folder):
    entry = Entry("K-1", "b", "o", pattern="booted anew", waiver_reason="r", waiver_expires=TODAY.replace(year=2999))
    assert told(folder, ledger=Ledger((entry,))) == [("host-reboot", START)]


def test_a_campaign_that_never_broke_has_no_news(folder):
    assert breaks.of(folder) == breaks.News()
