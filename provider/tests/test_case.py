# SPDX-License-Identifier: GPL-2.0-or-later
"""A case judges itself: unmet fails, unseen is an error, and neither hides what came before."""

from dataclasses import dataclass
from types import SimpleNamespace

import pytest
from avocado.core.exceptions import TestCancel, TestError, TestFail

from provider.hvqual import case as case_module
from provider.hvqual import kernel_log
from provider.hvqual.case import case
from provider.tests.support import PARAMS, lines


@dataclass(frozen=True)
class Own:
    """Nothing of its own."""


@pytest.fixture
def node(monkeypatch, tmp_path):
    """A node whose state a test decides; nothing of this machine is looked at or marked."""
    states = SimpleNamespace(now=["links: lo"], unreachable=[])
    monkeypatch.setenv("AVOCADO_HVQUAL_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(kernel_log, "KMSG", tmp_path / "kmsg")
    capture = lambda: SimpleNamespace(digest=str(states.now), lines=list(states.now), unreachable=states.unreachable)  # noqa: E731
    diff = lambda one, two: [f"+{line}" for line in two.lines if line not in one.lines]  # noqa: E731
    monkeypatch.setattr(case_module, "node_state", SimpleNamespace(capture=capture, diff=diff, NodeState=object))
    return states


def run(tmp_path, steps, **changes):
    """Run *steps* as a case and return the lines of its record."""
    test = SimpleNamespace(logdir=str(tmp_path))
    with case(test, {**PARAMS, **changes}, None, Own) as it:
        steps(it)
    return lines(tmp_path)


def test_pass(node, tmp_path):
    """Met and seen: the record ends in pass, with the node's state before and after."""
    found = run(tmp_path, lambda it: it.record.observe("guest_ready", 1.0, "s"))
    assert found[0]["kind"] == "begin"
    assert found[-1]["status"] == "pass"
    assert [line["when"] for line in found if line["kind"] == "node_state"] == ["before", "after"]
    assert [line["answer"] for line in found if line["kind"] == "criterion"] == ["met"]


@pytest.mark.parametrize(
    ("steps", "error", "status", "says"),
    [
        (lambda it: it.record.observe("guest_ready", 11.0, "s"), TestFail, "fail", "saw 11 where 'max < 10 s'"),
        (lambda it: None, TestError, "error", "Not seen: guest_ready"),
        (lambda it: it.record.observe("guest_ready", 1.0, "ms"), TestError, "error", "Not answered: 'guest_ready'"),
        (
            lambda it: (it.record.observe("guest_ready", 1.0, "s"), it.record.problem("x", "a problem")),
            TestFail,
            "fail",
            "a problem",
        ),
    ],
)
def test_no_pass(node, tmp_path, steps, error, status, says):
    """Too slow, not seen, in another unit, or a problem written down: none of them passes."""
    with pytest.raises(error, match=says):
        run(tmp_path, steps)
    assert lines(tmp_path)[-1]["status"] == status


def raising(error):
    """Return steps that end in *error*."""

    def steps(it):
        raise error

    return steps


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (TestFail("no"), "fail"),
        (TestCancel("cannot"), "cancel"),
        (TestError("broken"), "error"),
        (ValueError("bug"), "error"),
    ],
)
def test_status_is_told(node, tmp_path, error, status):
    """How the steps ended stands in the record, with their words."""
    with pytest.raises(type(error)):
        run(tmp_path, raising(error))
    assert (lines(tmp_path)[-1]["status"], str(error) in lines(tmp_path)[-1]["message"]) == (status, True)


def test_a_leftover_fails_the_case(node, tmp_path):
    """What the steps leave on the node is named, and the case does not pass."""

    def steps(it):
        it.record.observe("guest_ready", 1.0, "s")
        node.now.append("links: vnet7")

    with pytest.raises(TestFail, match="vnet7"):
        run(tmp_path, steps)
    assert [line["what"] for line in lines(tmp_path) if line["kind"] == "problem"] == ["leftover"]


def test_a_leftover_does_not_hide_the_failure_before_it(node, tmp_path):
    """Both are recorded: the failure ends the case, the leftover stands as a problem."""

    def steps(it):
        node.now.append("links: vnet7")
        message = "the product did wrong"
        raise TestFail(message)

    with pytest.raises(TestFail, match="the product did wrong"):
        run(tmp_path, steps)
    assert "leftover" in [line.get("what") for line in lines(tmp_path)]


def test_a_node_that_cannot_be_looked_at_is_no_pass(node, tmp_path):
    """Two unknown states are equal; they prove nothing."""
    node.unreachable.append("domains: libvirtd does not answer")
    with pytest.raises(TestError, match="cannot be told: domains"):
        run(tmp_path, lambda it: it.record.observe("guest_ready", 1.0, "s"))


def test_a_tainted_node_is_not_touched(node, tmp_path):
    """After a failed restore nothing runs before the node was cleaned."""
    with case(SimpleNamespace(logdir=str(_folder(tmp_path, "one"))), PARAMS, None, Own) as it:
        it.record.observe("guest_ready", 1.0, "s")
        it.undo.taint("seeded")
    with pytest.raises(TestError, match=r"tainted .seeded.*avocado hvqual clean"):
        run(_folder(tmp_path, "two"), lambda it: None)


def _folder(tmp_path, name):
    (tmp_path / name).mkdir()
    return tmp_path / name
