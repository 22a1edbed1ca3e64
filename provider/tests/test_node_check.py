# SPDX-License-Identifier: GPL-2.0-or-later
"""What the node check says becomes observations, and nothing but a whole clean answer passes."""

import json
import sys
from typing import NamedTuple

import pytest
from avocado.core.exceptions import TestCancel, TestError, TestFail

from provider.hvqual import daemon, kernel_log, node_check, undo_daemon
from provider.hvqual.record import Record

pytestmark = pytest.mark.contract
FACT = {"name": "release", "value": "6.1", "source": "uname -r"}
DEFECT = {"subject": "package qemu", "found": "not installed", "expected": "installed", "capability": ""}
LACKING = {"subject": "driver kvm", "found": "no /dev/kvm", "expected": "there", "capability": "kvm"}


class Process(NamedTuple):
    """A process, as what undoes a restart tells it."""

    pid: int
    start: int = 1


def answer(name="packages", kind="met", **other):
    """Return what the command says to one check."""
    whole = {"name": name, "answer": kind, "reason": "", "facts": [FACT], "defects": [], "not_required": []}
    return {**whole, **other}


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Put a program in the place of avocado that says what it is told to; return how to tell it, and what it was asked."""

    def says(text, status=0):
        program = tmp_path / "python"
        (tmp_path / "text").write_text(text)
        program.write_text(
            f"#!/bin/sh\necho \"$@\" >'{tmp_path}/asked'\ncat '{tmp_path}/text'\necho 'what is wrong' >&2\nexit {status}\n"
        )
        program.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(program))
        return tmp_path / "asked"

    return says


def test_asks_as_an_operator_does(command):
    """The checks, the description and the deep questions stand in the command; its JSON comes back."""
    asked = command(json.dumps({"checks": [answer("a"), answer("b.c")]}), 70)
    assert [check["name"] for check in node_check.ask(("a", "b.c"), "mine.yaml", 60)["checks"]] == ["a", "b.c"]
    assert asked.read_text() == "-m avocado hvqual node check --deep --yes --json --only a,b.c --expect mine.yaml\n"


@pytest.mark.parametrize(
    ("text", "status", "told"),
    [
        ("", 2, "ended with 2: what is wrong"),
        ("{", 0, "something else than its JSON"),
        ("[]", 0, "something else than its JSON"),
        ('{"checks": []}', 0, "said nothing to: packages"),
        (json.dumps({"checks": [answer("kernel.level")]}), 0, "said nothing to: packages"),
    ],
)
def test_no_answer_is_an_error(command, text, status, told):
    """A command that fails, writes something else or leaves a check out has approved nothing."""
    command(text, status)
    with pytest.raises(TestError, match=told):
        node_check.ask(("packages",), "", 60)


def seen(tmp_path, *checks):
    """Observe *checks* and return the lines of the record."""
    record = Record(tmp_path)
    try:
        node_check.observe({"checks": list(checks)}, record)
    finally:
        told = [json.loads(line) for line in (tmp_path / "observations.jsonl").read_text().splitlines()]
        (tmp_path / "told").write_text(json.dumps(told))
    return told


def lines(tmp_path, kind):
    """Return the lines of one kind, also when the case ended by an exception."""
    return [line for line in json.loads((tmp_path / "told").read_text()) if line["kind"] == kind]


def test_what_is_met_is_observed(tmp_path):
    """Each check gives a sample of each observation, and the whole answer is kept."""
    seen(tmp_path, answer("a"), answer("b", facts=[FACT, FACT]))
    values = [(line["name"], line["value"]) for line in lines(tmp_path, "observation")]
    first = [("check_met", True), ("facts_seen", 1), ("defects", 0)]
    assert values == [*first, ("check_met", True), ("facts_seen", 2), ("defects", 0)]
    assert [line["name"] for line in lines(tmp_path, "evidence")] == ["node-check.json"]


def test_each_defect_is_told(tmp_path):
    """A defect fails the case with what was found and expected, and is written down as a wrong result."""
    with pytest.raises(TestFail, match="package qemu: found not installed, expected installed"):
        seen(tmp_path, answer("a"), answer("b", "unmet", defects=[DEFECT]))
    assert [line["what"] for line in lines(tmp_path, "problem")] == ["wrong-result"]
    assert [line["value"] for line in lines(tmp_path, "observation") if line["name"] == "check_met"] == [True, False]


@pytest.mark.parametrize("kind", ["unknown", "no such answer"])
def test_what_was_not_seen_is_an_error(tmp_path, kind):
    """Neither what could not be seen nor an answer that nobody knows passes."""
    with pytest.raises(TestError, match="a: it was dark"):
        seen(tmp_path, answer("a", kind, reason="it was dark"), answer("b", "not applicable", reason="none"))
    assert not lines(tmp_path, "observation")


def test_what_the_node_lacks_cancels_with_the_capability(tmp_path):
    """A half that this node need not show leaves the use case without it: cancelled, with the capability and why."""
    with pytest.raises(TestCancel, match="Not required on this node: kvm"):
        seen(tmp_path, answer("a", "not applicable", reason="Not required on this node: kvm.", not_required=[LACKING]))
    told = [(line["name"], line["ok"], line["reason"]) for line in lines(tmp_path, "capability")]
    assert told == [("kvm", False, "driver kvm: found no /dev/kvm")]


def test_a_defect_outranks_what_was_not_seen(tmp_path):
    """What is known to be wrong is told, whatever else could not be seen."""
    with pytest.raises(TestFail, match="package qemu"):
        seen(tmp_path, answer("a", "unknown", reason="dark"), answer("b", "unmet", defects=[DEFECT]))


def test_who_took_whose_place_is_read_from_what_the_check_did():
    """Only the facts of a restart or a kill say so, and only as a pair of process ids."""
    facts = [
        {"name": "daemon libvirt: process after a restart", "value": "11 -> 749", "source": "process list"},
        {"name": "daemon libvirt: process after a kill", "value": "749 -> 801", "source": "process list"},
        {"name": "daemon other: process after a restart", "value": "unknown", "source": "process list"},
        {"name": "daemon other", "value": "5 -> 6", "source": "process list"},
    ]
    assert node_check.renewed({"checks": [answer("a"), answer("b", facts=facts)]}) == {11: 749, 749: 801}


class Known:
    """A case of which only the token is asked."""

    token = "cafe0123"


@pytest.mark.parametrize(
    ("after", "renewed", "announced"),
    [
        (749, {11: 749}, ["libvirtd-restart:11/1", "libvirtd-started:749/1"]),
        (801, {11: 749, 749: 801}, ["libvirtd-restart:11/1", "libvirtd-started:801/1"]),
        (801, {11: 749}, []),
        (749, {}, []),
        (749, {5: 749}, []),
        (11, {11: 749}, []),
    ],
)
def test_only_what_the_check_renewed_is_announced(monkeypatch, after, renewed, announced):
    """A daemon that became another one by itself, before or after the check's own restart, stays a finding."""
    said = []
    monkeypatch.setattr(kernel_log, "mark", said.append)
    monkeypatch.setattr(undo_daemon, "running", lambda: ("libvirtd", Process(after)))
    daemon.account_for(Known(), ("libvirtd", Process(11)), renewed)
    assert said == [f"hvqual: announce {what} cafe0123" for what in announced]
