# SPDX-License-Identifier: GPL-2.0-or-later
"""`avocado hvqual verdict | report | explain`, as a user and a pipeline call them."""

import argparse
import json
import re
import shutil
import sys
import time
from dataclasses import replace

import pytest

from avocado_hvqual.errors import HvqualError
from avocado_hvqual.load import POLICY
from avocado_hvqual.load import load_policy as real_load_policy
from avocado_hvqual.reports import REPORTS, cli
from tests import strategies as make
from tests.test_load import LEDGER


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(cli.load, "load_policy", lambda _path=None: make.POLICY)
    return make.write_campaign(tmp_path / "c")


def run(*words):
    parser = argparse.ArgumentParser()
    cli.add_parser(parser.add_subparsers(dest="verb", required=True))
    return cli.run(parser.parse_args([str(word) for word in words]))


def test_a_qualified_node_is_0(folder, capsys):
    assert run("verdict", folder) == 0
    assert capsys.readouterr().out.startswith("[+] QUALIFIED\nMay the node join? Yes.")


def test_accept_decides_the_status(folder):
    assert run("verdict", folder, "--accept", "SELECTION") == 40
    assert run("verdict", folder, "--accept", "SELECTION", "--accept", "QUALIFIED") == 0


def test_a_selection_is_0_only_when_asked_for(tmp_path, folder):
    part = make.write_campaign(tmp_path / "part", selection=True)
    assert run("verdict", part) == 45
    assert run("verdict", part, "--accept", "SELECTION") == 0
    assert run("verdict", part, "--require", "QUALIFIED") == 50


def test_the_gate_for_automation(folder, capsys):
    gate = ("verdict", folder, "--require", "QUALIFIED")
    assert run(*gate, "--node", "node-7", "--max-age", "14d") == 0
    assert run(*gate, "--node", "node-8") == 50
    assert "on the node 'node-7', not on 'node-8'" in capsys.readouterr().err
    assert run(*gate, "--max-age", "0s") == 50
    assert run("verdict", folder, "--node", "node-7") == 0


def test_a_campaign_that_ended_in_the_future_has_no_age(folder, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert run("verdict", folder, "--max-age", "14d") == 50


def test_two_questions_at_once_are_refused(folder):
    with pytest.raises(HvqualError, match="two different questions"):
        run("verdict", folder, "--accept", "SELECTION", "--node", "x")


@pytest.mark.parametrize("words", [("--max-age", "soon"), ("--today", "tomorrow"), ("--max-age", "-1d")])
def test_wrong_usage_is_2(folder, words):
    with pytest.raises(SystemExit) as caught:
        run("verdict", folder, *words)
    assert caught.value.code == 2


def test_explain_shows_rule_numbers_case_and_file(folder, capsys):
    make.write_trace(folder / "job/test-results/1-start", make.trace(values=(11.0,)))
    assert run("verdict", folder, "--explain") == 48
    said = capsys.readouterr().out
    for part in (
        "row",
        "rule 'limit-unmet'",
        "11 s",
        make.START,
        "evidence: job/test-results/1-start/observations.jsonl",
    ):
        assert part in said or part == "row"


def test_a_ledger_is_heeded_as_of_the_day(folder, tmp_path):
    make.write_trace(folder / "job/test-results/1-start", make.trace(values=(11.0,)))
    ledger = tmp_path / "issues.yaml"
    ledger.write_text(
        LEDGER.replace("wrong-result", "criterion-unmet").replace("stuck for", "guest_ready"), encoding="utf-8"
    )
    judge = ("verdict", folder, "--ledger", ledger, "--accept", "QUALIFIED_WITH_WAIVERS")
    assert run(*judge, "--today", "2026-12-31") == 0
    assert run(*judge, "--today", "2027-01-01") == 0, "the severity was changed to minor and has a fix target"
    assert run("verdict", folder, "--ledger", ledger, "--today", "2026-12-31") == 42


def test_json_is_the_report(folder, capsys):
    run("verdict", folder, "--json", "--today", "2026-11-21")
    printed = capsys.readouterr().out
    run("report", folder, "--today", "2026-11-21")
    assert printed == (folder / "verdict.json").read_text(encoding="utf-8")
    assert json.loads(printed)["exit_code"] == 40


def test_report_writes_all_and_says_where(folder, tmp_path, capsys):
    assert run("report", folder, "--output", tmp_path / "out") == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(REPORTS)
    assert "report.html" in capsys.readouterr().out


def test_judging_changes_nothing_in_the_folder(folder):
    before = sorted((path, path.stat().st_mtime_ns) for path in folder.rglob("*"))
    run("verdict", folder, "--explain")
    assert sorted((path, path.stat().st_mtime_ns) for path in folder.rglob("*")) == before


def test_a_folder_that_is_none_is_one_sentence(folder, tmp_path):
    with pytest.raises(HvqualError, match="folder of a campaign"):
        run("verdict", tmp_path / "nowhere")


@pytest.mark.parametrize("word", ["host-lockup", "QUALIFIED", "minor", "hvqual.lifecycle.start"])
def test_explain_knows_every_word_of_a_report(word, capsys):
    assert run("explain", word) == 0
    assert capsys.readouterr().out.startswith(f"{word}:\n  ")


def test_explain_offers_what_is_near(folder):
    with pytest.raises(HvqualError, match="Did you mean 'host-lockup'"):
        run("explain", "host-lockp")


def test_a_terminal_gets_colour_and_a_log_does_not(folder, monkeypatch, capsys):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    run("verdict", folder)
    assert "\x1b[" in capsys.readouterr().out
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False, raising=False)
    run("verdict", folder)
    assert "\x1b[" not in capsys.readouterr().out


def test_explained_needs_no_node_and_is_the_same_bytes_anywhere(folder, tmp_path, capsys, golden):
    """From a copy elsewhere, in another process's surroundings: the input alone decides."""
    make.write_trace(folder / "job/test-results/1-start", make.trace(values=(11.0,)))
    ledger = tmp_path / "issues.yaml"
    ledger.write_text(
        LEDGER.replace("wrong-result", "criterion-unmet").replace("stuck for", "guest_ready"), encoding="utf-8"
    )
    words = ("--ledger", ledger, "--explain", "--today", "2026-11-21")
    elsewhere = shutil.copytree(folder, tmp_path / "elsewhere" / "c")
    said = []
    for place in (folder, elsewhere, elsewhere):
        assert run("verdict", place, *words) == 42
        said.append(capsys.readouterr().out.replace(str(ledger), "issues.yaml"))
    assert len(set(said)) == 1
    golden("explain/ledger.txt", re.sub(r"campaign c-1, .*", "campaign c-1", said[0]))
    documents = []
    for place in (folder, elsewhere):
        assert run("verdict", place, *words, "--json") == 42
        documents.append(capsys.readouterr().out)
    assert documents[0] == documents[1]


def test_another_policy_is_another_verdict_of_the_same_campaign(folder, tmp_path, monkeypatch, capsys):
    """The row of the other policy is named, and decides."""
    read = real_load_policy
    monkeypatch.setattr(cli.load, "load_policy", lambda path=None: replace(read(path), required=()))
    make.write_trace(folder / "job/test-results/1-start", make.trace(values=(11.0,)))
    text = POLICY.read_text(encoding="utf-8")
    rule = "{id: limit-unmet, kinds: [sla-unmet, criterion-unmet], severity: major}"
    assert rule in text
    other = tmp_path / "other.yaml"
    other.write_text(
        text.replace(rule, rule.replace("limit-unmet", "slow").replace("major", "minor")), encoding="utf-8"
    )
    said = []
    for policy in (POLICY, other):
        assert run("verdict", folder, "--policy", policy, "--explain", "--today", "2026-11-21") == 48
        said.append(capsys.readouterr().out)
    assert ["rule 'limit-unmet'" in one for one in said] == [True, False]
    assert ["rule 'slow'" in one for one in said] == [False, True]
    assert "1 minor finding is open without a fix target" in said[1]
