# SPDX-License-Identifier: GPL-2.0-or-later
"""What `run` is asked beside its plan: wrong words are refused before the night, right ones reach the campaign."""

import argparse
import json
import sys
from types import SimpleNamespace

import pytest

from avocado_hvqual.campaign import campaign as campaigns
from avocado_hvqual.campaign import gate, notify, options
from avocado_hvqual.campaign.campaign import Campaign
from avocado_hvqual.campaign.journal import Journal
from avocado_hvqual.errors import DefinitionError
from avocado_hvqual.load import POLICY
from avocado_hvqual.loader import load_campaign
from avocado_hvqual.model.case import Phase
from tests.strategies import write_campaign


def parsed(*words):
    parser = argparse.ArgumentParser()
    options.add(parser)
    return parser.parse_args([str(word) for word in words])


def asked(*words):
    return options.read(parsed(*words))


def test_nothing_is_asked():
    assert asked() == options.Asked()


def test_a_reason_is_kept_and_an_empty_one_refused():
    assert asked("--override-gate", " the switch is broken ").override == "the switch is broken"
    for empty in ("", " ", "\t\n"):
        with pytest.raises(DefinitionError, match="takes the reason"):
            asked(f"--override-gate={empty}")


def test_command_and_webhook():
    on = asked(
        "--notify-command", f"'{sys.executable}' -c 'print(1)'", "--notify-webhook", "https://x.example:8443/h?t=1"
    )
    assert on.on_critical == notify.OnCritical(
        notify.NOTIFY, (sys.executable, "-c", "print(1)"), "https://x.example:8443/h?t=1"
    )
    assert asked("--on-critical", "stop").on_critical == notify.OnCritical(notify.STOP)


@pytest.mark.parametrize(
    "words",
    [
        ("--notify-command", "'unended"),
        ("--notify-command", "/nonexistent/program x"),
        ("--on-critical", "notify", "--notify-command", ""),
        ("--on-critical", "notify"),
        ("--notify-webhook", "file:///etc/shadow"),
        ("--notify-webhook", "ftp://x.example/"),
        ("--notify-webhook", "http:///path"),
        ("--notify-webhook", "http://x.example:99999/"),
        ("--notify-webhook", "http://x.example/\r\nHost: y"),
        ("--policy", "/nonexistent.yaml"),
    ],
)
def test_what_cannot_be_done_is_refused(words):
    with pytest.raises(DefinitionError):
        asked(*words)


def test_the_policy_may_ask_and_the_command_line_has_the_last_word(tmp_path):
    path = tmp_path / "policy.yaml"
    text = POLICY.read_text(encoding="utf-8")
    wanted = f"on_critical: {{action: stop, command: '{sys.executable} -V', webhook: 'http://x.example/'}}"
    path.write_text(text.replace("on_critical: {action: none}", wanted), encoding="utf-8")
    by_policy = asked("--policy", path).on_critical
    assert by_policy == notify.OnCritical(notify.STOP, (sys.executable, "-V"), "http://x.example/")
    less = asked("--policy", path, "--on-critical", "notify", "--notify-command", "").on_critical
    assert less == notify.OnCritical(notify.NOTIFY, (), "http://x.example/")
    assert asked("--policy", path, "--on-critical", "none").on_critical.action == notify.NONE


def test_the_words_say_the_same_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.yaml").write_text(POLICY.read_text(encoding="utf-8"), encoding="utf-8")
    words = (
        "--policy",
        "p.yaml",
        "--override-gate=-x y",
        "--on-critical",
        "stop",
        "--notify-webhook",
        "http://x.example/",
    )
    given = parsed(*words)
    again = parsed(*options.words(given))
    assert options.read(again) == options.Asked(
        tmp_path / "p.yaml", None, "-x y", notify.OnCritical(notify.STOP, (), "http://x.example/")
    )


def gated(tmp_path, monkeypatch, *, passed, override="", part=False, kind="stop"):
    folder = write_campaign(tmp_path / "c")
    monkeypatch.setattr(campaigns.outcome, "judge", lambda *_: None)
    answer = gate.Answer(passed=passed, reason="a guest panicked")
    monkeypatch.setattr(campaigns.gate, "evaluate", lambda *_: answer)
    made = SimpleNamespace(cases=(), missing_in=lambda _phase: [], part=part, profile=SimpleNamespace(gate=kind))
    progress = SimpleNamespace(say=lambda _text: None)
    place = SimpleNamespace(path=folder, campaign="c-1")
    one = Campaign(made, place, "run", progress, options.Asked(override=override))
    with Journal.open(folder) as journal:
        goes_on = one._gate(Phase.HYPERVISOR, Phase.CLOUD, journal)
    lines = map(json.loads, (folder / "journal.jsonl").read_text(encoding="utf-8").splitlines())
    kinds = [line["kind"] for line in lines if line["kind"].startswith("gate")]
    return goes_on, kinds, load_campaign(folder).gates


def test_a_closed_gate_ends_the_campaign(tmp_path, monkeypatch):
    goes_on, kinds, gates = gated(tmp_path, monkeypatch, passed=False)
    assert (goes_on, kinds, gates[-1].override) == (False, ["gate"], "")


def test_an_overridden_gate_stands_in_the_journal_with_its_reason(tmp_path, monkeypatch):
    goes_on, kinds, gates = gated(tmp_path, monkeypatch, passed=False, override="known")
    assert (goes_on, kinds) == (True, ["gate", "gate-override"])
    assert (gates[-1].phase, gates[-1].passed, gates[-1].override) == ("cloud", False, "known")


def test_an_open_gate_needs_no_override(tmp_path, monkeypatch):
    goes_on, kinds, gates = gated(tmp_path, monkeypatch, passed=True, override="known")
    assert (goes_on, kinds, gates[-1].override) == (True, ["gate"], "")
