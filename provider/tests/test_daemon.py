# SPDX-License-Identifier: GPL-2.0-or-later
"""A restart of libvirt's daemon is announced before it is done, starts nobody else's domains, and loses no guest."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from avocado.core.exceptions import TestCancel, TestFail

from provider.hvqual import daemon, kernel_log, undo_daemon
from provider.hvqual.processes import Identity
from provider.hvqual.record import Record

UUID = "u-1"


class Domain:
    """One domain as libvirt-python gives it."""

    def __init__(self, *, name="hvq-1", active=True, flagged=False, ours=True):
        self.name_, self.active, self.flagged, self.ours = name, active, flagged, ours

    def name(self):
        return self.name_

    def UUIDString(self):  # noqa: N802 - libvirt's name
        return UUID

    def isActive(self):  # noqa: N802
        return self.active

    def isPersistent(self):  # noqa: N802
        return True

    def autostart(self):
        return self.flagged


class Node:
    """A node whose daemon is replaced when the manager is asked to."""

    def __init__(self, tmp_path, monkeypatch):
        self.log, self.pid, self.domains, self.pids = [], 10, [Domain()], [77]
        self.after = lambda: None
        self.case = SimpleNamespace(record=Record(tmp_path), token="tok")
        self.uri, self.connection = "qemu:///system", self
        mark = tmp_path / "autostarted"
        mark.touch()
        self.mark = mark
        monkeypatch.setenv("AVOCADO_HVQUAL_HOME", str(tmp_path / "home"))
        monkeypatch.setattr(undo_daemon, "AUTOSTARTED", str(mark))
        monkeypatch.setattr(undo_daemon, "running", lambda: ("libvirtd", Identity(self.pid, 5, "b", 1)))
        monkeypatch.setattr(undo_daemon, "manager", lambda: "service")
        monkeypatch.setattr(undo_daemon, "manage", self.manage)
        monkeypatch.setattr(undo_daemon, "answers", lambda _uri: True)
        monkeypatch.setattr(kernel_log, "mark", self.log.append)
        monkeypatch.setattr(daemon.host_process, "emulators", lambda _: [SimpleNamespace(pid=pid) for pid in self.pids])

    def manage(self, verb, name):
        self.log.append(f"{verb} {name} {'marked' if self.mark.exists() else 'unmarked'}")
        self.pid += 1
        self.after()
        return ""

    def listAllDomains(self):  # noqa: N802 - libvirt's name
        return self.domains

    def ours(self, domain):
        return domain.ours

    def reconnect(self):
        self.log.append("reconnect")

    def restart(self, **how):
        daemon.restarted_libvirtd(self.case, self, **how)


@pytest.fixture
def node(tmp_path, monkeypatch):
    return Node(tmp_path, monkeypatch)


def test_it_is_announced_before_and_told_after(node):
    node.restart()
    assert node.log == [
        "hvqual: announce libvirtd-restart:10/5 tok",
        "restart libvirtd marked",
        "hvqual: announce libvirtd-started:11/5 tok",
        "reconnect",
    ]
    assert node.case.record.samples["libvirtd_restart_time"]


def test_as_after_a_boot_the_mark_is_away_and_comes_back(node):
    node.restart(after_boot=True)
    assert "restart libvirtd unmarked" in node.log
    assert node.mark.exists()


def test_domains_of_others_are_not_started(node):
    node.domains.append(Domain(name="theirs", active=False, flagged=True, ours=False))
    with pytest.raises(TestCancel, match="theirs"):
        node.restart(after_boot=True)
    assert node.log == []
    node.restart()


def test_a_node_without_a_manager_cancels(node, monkeypatch):
    monkeypatch.setattr(undo_daemon, "manager", lambda: "")
    with pytest.raises(TestCancel):
        node.restart()


def test_a_daemon_that_is_still_the_same_was_not_restarted(node, monkeypatch):
    monkeypatch.setattr(undo_daemon, "manage", lambda *_: "")
    with pytest.raises(TestFail, match="still the process 10"):
        node.restart()


def test_what_the_manager_refuses_fails(node, monkeypatch):
    monkeypatch.setattr(undo_daemon, "manage", lambda *_: "it is masked")
    with pytest.raises(TestFail, match="it is masked"):
        node.restart()


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda node: node.domains.clear(), "forgot the domain 'hvq-1'"),
        (lambda node: setattr(node.domains[0], "active", False), "ran as"),
        (lambda node: node.pids.append(78), "ran as"),
        (lambda node: setattr(node.domains[0], "name_", "hvq-2"), "forgot"),
    ],
)
def test_a_guest_that_does_not_live_on_is_lost(node, harm, says):
    node.after = lambda: harm(node)
    with pytest.raises(TestFail, match=says):
        node.restart()
