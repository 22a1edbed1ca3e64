# SPDX-License-Identifier: GPL-2.0-or-later
"""A login says what was asked, waits for no silence, and tells why it was refused; held with a program that asks as ssh does."""

from __future__ import annotations

import os
import time
from types import SimpleNamespace

import pytest
from aexpect import remote

from provider.hvqual import login

PROMPT = r"^\[root@micro [^\]]*\]# $"
ASKING = """#!/bin/bash
echo "$@" >>{folder}/called
[ -e {folder}/closed ] && {{ rm {folder}/closed; echo "ssh: Connection refused"; exit 255; }}
echo "Warning: Permanently added '10.0.0.1' (ED25519) to the list of known hosts."
for try in 1 2 3; do
    printf "root@10.0.0.1's pass"; sleep {pause}; printf "word: "
    read -rs word; echo
    if [ "$word" = right ]; then
        echo "$(date) login: of yesterday"
        PS1='[root@micro ~]# ' TERM=dumb exec bash --norc --noediting -i
    fi
done
"""


@pytest.fixture
def ssh(tmp_path, monkeypatch):
    """Let a program that asks as ssh does stand first on PATH; it pauses within the question for so many seconds."""

    def put(pause="0"):
        program = tmp_path / "ssh"
        program.write_text(ASKING.format(folder=tmp_path, pause=pause))
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
        monkeypatch.setattr("virttest.utils_logfile._log_file_dir", str(tmp_path))
        return tmp_path

    return put


@pytest.fixture
def vm():
    made = SimpleNamespace(name="hvq-1", params={"shell_port": "2222", "shell_prompt": PROMPT}, remote_sessions=[])
    yield made
    for session in made.remote_sessions:
        session.close()


@pytest.mark.parametrize("pause", ["0", "0.3"], ids=["at once", "in two pieces"])
def test_it_is_there_with_the_right_word_and_kept_beside_the_results(ssh, vm, pause):
    folder = ssh(pause)
    session = login.log_in(vm, "10.0.0.1", "root", "right", 5)
    assert session.cmd_output("echo here").strip() == "here"
    assert vm.remote_sessions == [session]
    options = "-oUserKnownHostsFile=/dev/null -oStrictHostKeyChecking=no -oPreferredAuthentications=password"
    assert (folder / "called").read_text() == f"{options} -p 2222 root@10.0.0.1\n"
    session.close()
    (log,) = folder.glob("session-hvq-1-*.log")
    assert "Permanently added" in log.read_text()
    assert "right" not in log.read_text()


def test_it_waits_for_no_silence(ssh, vm):
    """As a ratio to aexpect's own way with the same program."""
    ssh()
    begun = time.monotonic()
    login.log_in(vm, "10.0.0.1", "root", "right", 5)
    ours, begun = time.monotonic() - begun, time.monotonic()
    remote.remote_login("ssh", "10.0.0.1", "2222", "root", "right", PROMPT).close()
    assert ours < (time.monotonic() - begun) / 2


def test_a_wrong_word_is_told_and_not_tried_again(ssh, vm):
    folder = ssh()
    with pytest.raises(remote.LoginAuthenticationError, match="password prompt twice"):
        login.log_in(vm, "10.0.0.1", "root", "wrong", 5)
    assert len((folder / "called").read_text().splitlines()) == 1
    assert vm.remote_sessions == []


def test_a_door_that_opens_late_is_tried_again(ssh, vm):
    folder = ssh()
    (folder / "closed").touch()
    login.log_in(vm, "10.0.0.1", "root", "right", 5)
    assert len((folder / "called").read_text().splitlines()) == 2


def test_a_door_that_stays_closed_is_told_with_its_reason(ssh, vm):
    folder = ssh()
    (folder / "ssh").write_text("#!/bin/sh\necho 'ssh: Connection refused'\nexit 255\n")
    with pytest.raises(remote.LoginError, match=r"connection refused|terminated"):
        login.log_in(vm, "10.0.0.1", "root", "right", 0.1)
