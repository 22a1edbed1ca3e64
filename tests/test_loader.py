# SPDX-License-Identifier: GPL-2.0-or-later
"""From a folder to a verdict: whatever a kill or a hand did to it, an answer and never an exception."""

import json
import shutil
from dataclasses import replace

import pytest

from avocado_hvqual import journal_reading
from avocado_hvqual.campaign.journal import Journal
from avocado_hvqual.errors import JournalError
from avocado_hvqual.loader import load_campaign
from avocado_hvqual.model.plan import Plan
from avocado_hvqual.model.verdict import Verdict
from tests import strategies as make
from tests.strategies import START, judged

RESULT = "job/test-results/1-start"


@pytest.fixture
def folder(tmp_path):
    return make.write_campaign(tmp_path / "campaign")


def test_a_whole_campaign_is_qualified(folder):
    record = load_campaign(folder)
    assert (record.damage, record.ended, record.known) == ((), "finished", frozenset({START}))
    assert judged(record).verdict is Verdict.QUALIFIED


def test_a_selection_from_a_job_is_judged_the_same_way(tmp_path):
    found = judged(load_campaign(make.write_campaign(tmp_path / "job", selection=True)))
    assert (found.verdict, found.clean) == (Verdict.SELECTION, True)


def test_each_prefix_of_a_campaign_is_judged_and_never_qualified(folder):
    """A kill at any byte: an answer, and only the whole is good."""
    path = folder / journal_reading.FILE
    content = path.read_bytes()
    first = content.index(b"\n") + 1
    for size in range(first, len(content) - 1, 97):
        path.write_bytes(content[:size])
        found = judged(load_campaign(folder))
        assert (found.verdict, found.clean) == (Verdict.INCOMPLETE, False), size


def test_each_line_taken_out_is_incomplete(folder):
    path = folder / journal_reading.FILE
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    for place in range(1, len(lines)):
        path.write_text("".join(lines[:place] + lines[place + 1 :]), encoding="utf-8")
        assert judged(load_campaign(folder)).verdict is Verdict.INCOMPLETE, place


def test_each_record_taken_out_of_a_test_is_incomplete(folder):
    """Deleting any record call of a test turns the verdict, whether or not the numbers are closed up behind it."""
    path = folder / RESULT / "observations.jsonl"
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for place in range(len(lines)):
        left = [{**line, "seq": number} for number, line in enumerate(lines[:place] + lines[place + 1 :])]
        path.write_text("".join(json.dumps(line) + "\n" for line in left), encoding="utf-8")
        assert judged(load_campaign(folder)).verdict is Verdict.INCOMPLETE, lines[place]


def test_a_result_folder_that_is_gone_is_incomplete(folder):
    shutil.rmtree(folder / RESULT)
    assert judged(load_campaign(folder)).verdict is Verdict.INCOMPLETE


def test_another_cases_record_is_not_taken_for_ones_own(folder):
    make.write_trace(folder / RESULT, make.trace(make.STOP))
    found = judged(load_campaign(folder))
    assert found.verdict is Verdict.INCOMPLETE
    assert "belongs to the case" in found.findings[0].message


def begun(folder):
    head = make.header()
    fields = ("id", "profile", "selection", "lab", "node", "command", "versions")
    journal = Journal.create(folder, {name: getattr(head, name) for name in fields})
    journal.append("plan", Plan("production", (make.planned(),), (make.row(),)).to_json())
    journal.append("job-begin", {"phase": "hypervisor", "vt_type": "libvirt", "job_dir": "job"})
    return journal


def test_a_killed_case_of_which_only_the_test_wrote_is_interrupted(tmp_path):
    """Avocado's start event is no barrier: the test's own begin is on disk before it touches anything."""
    begun(tmp_path).close()
    make.write_trace(tmp_path / RESULT, make.trace(status=None, digest_after=None))
    found = judged(load_campaign(tmp_path))
    assert {finding.kind.value for finding in found.findings if finding.case} == {"interrupted"}


def test_a_case_that_avocado_began_and_the_test_did_not_is_not_run(tmp_path):
    with begun(tmp_path) as journal:
        journal.append("case-begin", {"case": START, "logdir": RESULT})
    found = judged(load_campaign(tmp_path))
    assert {finding.kind.value for finding in found.findings if finding.case} == {"not-run"}


def booted(monkeypatch, name):
    monkeypatch.setattr(Journal, "append", Journal.append)
    original = Journal.__init__

    def init(self, *args):
        original(self, *args)
        self._boot_id = name

    monkeypatch.setattr(Journal, "__init__", init)


@pytest.mark.parametrize("planned", [False, True])
def test_a_reboot_that_nobody_announced_is_a_finding_of_the_case_that_ran(tmp_path, monkeypatch, planned):
    with begun(tmp_path) as journal:
        journal.append("case-begin", {"case": START, "logdir": RESULT})
        if planned:
            journal.append("reboot-planned", {"reason": "new kernel"})
    make.write_trace(tmp_path / RESULT, make.trace(status=None, digest_after=None))
    booted(monkeypatch, "another boot")
    with Journal.open(tmp_path) as journal:
        journal.append("campaign-end", {"status": "interrupted"})
    kinds = {(one.kind.value, one.case) for one in judged(load_campaign(tmp_path)).findings}
    assert (("host-reboot", START) in kinds) is not planned


def test_a_resumed_campaign_keeps_both_tries(tmp_path):
    with begun(tmp_path) as journal:
        journal.append("case-begin", {"case": START, "logdir": RESULT})
    make.write_trace(tmp_path / RESULT, make.trace(status=None, digest_after=None))
    with Journal.open(tmp_path) as journal:
        journal.append("job-begin", {"phase": "hypervisor", "vt_type": "libvirt", "job_dir": "job-2"})
        again = "job-2/test-results/1-start"
        journal.append("case-begin", {"case": START, "logdir": again})
        make.write_trace(tmp_path / again, make.trace())
        end = {"case": START, "status": "PASS", "fail_reason": "", "fail_class": "", "logdir": again, "time": 1.0}
        journal.append("case-end", end)
        journal.append("health-state", {"case": None, "state": "known", "reason": ""})
        journal.append("campaign-end", {"status": "finished"})
    found = judged(load_campaign(tmp_path))
    assert (found.verdict, found.results[0].attempts) == (Verdict.QUALIFIED, ("no end", "PASS"))


def test_when_a_case_began_and_when_the_node_was_in_trouble(folder):
    told = {line.kind: line.wall for line in journal_reading.read(folder).lines}
    assert [attempt.began for attempt in load_campaign(folder).attempts] == [told["case-begin"]]
    with Journal.open(folder) as journal:
        event = {"kind": "host-lockup", "message": "soft lockup", "evidence": "kernel.log"}
        journal.append("health", {"case": START, "events": [event]})
    (found,) = load_campaign(folder).health
    assert found.wall == journal_reading.read(folder).lines[-1].wall > 0


def test_health_that_was_known_before_the_case_ended_says_nothing_of_it(tmp_path):
    with begun(tmp_path) as journal:
        journal.append("case-begin", {"case": START, "logdir": RESULT})
        journal.append("health-state", {"case": None, "state": "known", "reason": ""})
        make.write_trace(tmp_path / RESULT, make.trace())
        end = {"case": START, "status": "PASS", "fail_reason": "", "fail_class": "", "logdir": RESULT, "time": 1.0}
        journal.append("case-end", end)
        journal.append("campaign-end", {"status": "finished"})
    assert [one.kind.value for one in judged(load_campaign(tmp_path)).findings] == ["health-unknown"]


def test_a_second_plan_that_differs_is_damage(tmp_path):
    with begun(tmp_path) as journal:
        smaller = Plan("production", (), (make.row(),))
        journal.append("plan", smaller.to_json())
    assert "second plan" in load_campaign(tmp_path).damage[0]


def test_a_plan_that_cannot_be_read_is_damage(tmp_path):
    head = make.header()
    fields = ("id", "profile", "selection", "lab", "node", "command", "versions")
    with Journal.create(tmp_path, {name: getattr(head, name) for name in fields}) as journal:
        journal.append("plan", {"profile": "p", "cases": [{"key": "nonsense"}], "required": []})
    assert judged(load_campaign(tmp_path)).verdict is Verdict.INCOMPLETE


def test_a_folder_that_is_no_campaigns_is_one_sentence(tmp_path):
    with pytest.raises(JournalError, match="folder of a campaign"):
        load_campaign(tmp_path)
    (tmp_path / journal_reading.FILE).write_text("nonsense\n", encoding="utf-8")
    with pytest.raises(JournalError, match=r"journal\.jsonl:1: "):
        load_campaign(tmp_path)


def test_the_record_is_a_value(folder):
    assert load_campaign(folder) == load_campaign(folder)
    assert replace(load_campaign(folder)) == load_campaign(folder)
