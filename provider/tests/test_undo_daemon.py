# SPDX-License-Identifier: GPL-2.0-or-later
"""Libvirt's daemon runs again after a test that had stopped it was killed; nothing else is ever started."""

from __future__ import annotations

from pathlib import Path

import pytest

from provider.hvqual import processes, undo, undo_actions, undo_daemon

DETAILS = {"daemon": "libvirtd", "uri": "qemu:///system", "autostarted": undo_daemon.AUTOSTARTED}


@pytest.fixture
def world(monkeypatch, tmp_path):
    """A node whose daemon is dead until the manager starts it; returns what was asked of the manager."""
    asked = []
    mark = tmp_path / "autostarted"

    def manage(verb, daemon):
        asked.append((verb, daemon, mark.exists()))
        return ""

    monkeypatch.setattr(undo_daemon, "AUTOSTARTED", str(mark))
    monkeypatch.setattr(undo_daemon, "manage", manage)
    monkeypatch.setattr(undo_daemon, "running", lambda: ("libvirtd", processes.identity()) if asked else None)
    monkeypatch.setattr(undo_daemon, "answers", lambda _uri: bool(asked))
    return asked


def test_a_dead_daemon_is_started_with_its_mark_back_before(world, tmp_path):
    details = {**DETAILS, "autostarted": undo_daemon.AUTOSTARTED}
    assert undo_actions.run("start_daemon", details, tmp_path, same_boot=True)[0] == "restored"
    assert world == [("start", "libvirtd", True)]
    assert undo_actions.run("start_daemon", details, tmp_path, same_boot=True)[0] == "gone"
    assert len(world) == 1


def test_what_the_manager_refuses_is_told(world, monkeypatch, tmp_path):
    monkeypatch.setattr(undo_daemon, "manage", lambda *_: "no such service")
    status, message = undo_actions.run("start_daemon", {"daemon": "libvirtd"}, tmp_path, same_boot=True)
    assert (status, "no such service" in message) == ("failed", True)
    assert not world


def test_a_daemon_that_does_not_answer_is_not_restored(world, monkeypatch, tmp_path):
    monkeypatch.setattr(undo_daemon, "answers", lambda _uri: False)
    monkeypatch.setattr(undo_daemon, "_ANSWER_TIMEOUT_S", 0.1)
    assert undo_actions.run("start_daemon", {"daemon": "libvirtd"}, tmp_path, same_boot=True)[0] == "failed"
    assert world


@pytest.mark.parametrize(
    "details",
    [{"daemon": "sshd"}, {**DETAILS, "autostarted": "/etc/passwd"}, {}, {"daemon": "libvirtd", "more": 1}],
)
def test_only_libvirts_daemon_and_its_own_mark_are_touched(details, tmp_path):
    with pytest.raises(undo.UndoError):
        undo.UndoLog(tmp_path, "local").record("start_daemon", **details)


def test_another_verb_or_service_is_refused():
    with pytest.raises(ValueError, match="nothing that we do"):
        undo_daemon.manage("stop", "sshd")
    with pytest.raises(ValueError, match="nothing that we do"):
        undo_daemon.manage("mask", "libvirtd")


def test_a_node_without_a_manager_says_so(monkeypatch):
    monkeypatch.setattr(undo_daemon, "SYSTEMD", Path("/nowhere"))
    monkeypatch.setattr(undo_daemon.shutil, "which", lambda _name: None)
    assert "neither systemd" in undo_daemon.manage("start", "libvirtd")
