# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest of a proof: what QEMU is told, and that one which does not come up, answer or end is never taken for one that does."""

import socket
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from avocado_hvqual.errors import ImageError
from avocado_hvqual.images.golden import guest, prove, wire
from avocado_hvqual.lab.tools import find

needs_qemu = pytest.mark.skipif(find("qemu-system-x86_64") is None, reason="qemu-system-x86 is not installed")


@pytest.fixture
def empty(tmp_path):
    """A guest with an empty disk: its firmware finds nothing to boot, and stays there."""
    disk = tmp_path / "disk.raw"
    with disk.open("wb") as stream:
        stream.truncate(8 << 20)
    return guest.Wanted("hvq-empty", disk, "raw", "52:54:00:00:00:01", guest.user_network(), memory_mib=64, cpus=1)


def test_the_disk_boots_by_itself_unless_a_kernel_is_given(empty, tmp_path):
    own = guest.command(empty, tmp_path, tmp_path / "log")
    assert not {"-kernel", "-append"} & set(own)
    assert f"if=none,id=d0,file={empty.disk},format=raw,cache=writeback" in own
    direct = guest.Direct(Path("/k"), Path("/i"), "console=ttyS0")
    line = guest.command(replace(empty, direct=direct), tmp_path, tmp_path / "log")
    assert line[line.index("-append") + 1] == "console=ttyS0"


def test_networks_stay_on_loopback_and_give_two_ports():
    words = " ".join(prove._first_network((4001, 4002), 4003))
    assert "restrict=on" in words
    assert "hostfwd=tcp:127.0.0.1:4001-10.0.2.15:22" in words
    assert "hostfwd=tcp:127.0.0.1:4002-10.0.2.16:22" in words
    assert "listen=127.0.0.1:4003" in words
    assert words.count("id=n0") == 1


@needs_qemu
def test_a_qemu_that_ends_at_once_is_told_in_its_own_words(empty, tmp_path):
    empty.disk.unlink()
    with pytest.raises(ImageError, match=r"QEMU ended at once with status 1: .*No such file"):
        with guest.running(empty, tmp_path / "log"):
            pass


def test_a_program_that_is_no_qemu_is_told_as_ended(empty, tmp_path):
    with pytest.raises(ImageError, match="QEMU ended at once with status 1: "):
        with guest.running(replace(empty, qemu="false"), tmp_path / "log"):
            pass


@needs_qemu
@pytest.mark.parametrize(
    ("console", "told"),
    [
        (
            "login: [   42.364992] Oops: general protection fault\x1b[m, probably\r\nmore\n",
            "'login: [   42.364992] Oops: gen",
        ),
        ("[   17.1] Kernel command line: quiet\n", ""),
    ],
)
def test_a_kernel_that_dies_is_told_with_what_did_not_come(console, told, empty, tmp_path):
    """Seen: 'ssh did not end within 90 s' alone, of a guest whose console says why (Debian 13 under QEMU 7.2.22 without KVM)."""
    log = tmp_path / "log"

    def ssh():
        log.write_text(console)
        msg = "ssh did not end."
        raise ImageError(msg)

    with pytest.raises(ImageError) as error:
        with guest.running(empty, log):
            ssh()
    assert str(error.value).startswith("ssh did not end.")
    assert ("The guest's kernel died" in str(error.value)) == bool(told)
    assert told in str(error.value)
    assert "\x1b" not in str(error.value)


def test_a_line_that_closes_is_not_waited_for(line):
    near, far = line
    far.shutdown(socket.SHUT_RDWR)
    with pytest.raises(
        ImageError, match=r"Waited for a sign, and the line was closed. The last that came was: nothing"
    ):
        near.line.wait("sign", 60, "a sign")


@needs_qemu
def test_a_guest_that_does_not_boot_neither_logs_in_nor_answers_nor_ends(empty, tmp_path, monkeypatch):
    monkeypatch.setattr(guest, "BOOT_SECONDS", 0.5)
    monkeypatch.setattr(guest, "_STOP_SECONDS", 0.5)
    with guest.running(empty, tmp_path / "log") as started:
        assert started.monitor.execute("query-name") == {"name": "hvq-empty"}
        with pytest.raises(ImageError, match="QEMU refused 'no-such-command'"):
            started.monitor.execute("no-such-command")
        with pytest.raises(ImageError, match=r"0.5 s for 'hvq-empty' to ask for a login"):
            started.login("secret", "#")
        with pytest.raises(ImageError, match="the guest agent to answer"):
            started.agent.ready(0.5)
        with pytest.raises(ImageError, match="for 'hvq-empty' to shut down"):
            started.shut_down()
    assert started.process.returncode is not None


@needs_qemu
def test_a_qemu_that_is_killed_is_no_shutdown(empty, tmp_path, monkeypatch):
    with guest.running(empty, tmp_path / "log") as started:
        started.monitor.execute("quit")
        monkeypatch.setattr(started.monitor, "execute", lambda _command: None)
        with pytest.raises(ImageError, match=r"did not end by a shutdown of its own: QEMU told .*host-qmp-quit"):
            started.shut_down()


@pytest.fixture
def line(tmp_path):
    """Both ends of a line: what the test writes is what a guest would."""
    path = tmp_path / "s"
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()
    near = wire.Agent(path)
    far, _ = server.accept()
    yield near, far
    for end in (near.line, far, server):
        end.close()


def test_the_agent_is_ready_only_by_its_answer_to_this_question(line):
    near, far = line
    far.sendall(b'{"return": 1}\n{"return": 2}\n')
    with pytest.raises(ImageError, match="the guest agent to answer"):
        near.ready(0.5)
    assert b"guest-sync" in far.recv(65536)


def test_a_script_in_the_guest_has_its_status_and_its_words(line):
    near, far = line
    answers = [
        b'{"return": {"pid": 7}}\n',
        b'{"return": {"exited": false}}\n',
        b'{"return": {"exited": true, "exitcode": 3, "out-data": "b3V0", "err-data": "ZXJy"}}\n',
    ]

    def serve():
        for answer in answers:
            far.recv(65536)
            far.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    assert near.run("true") == (3, "outerr")
    thread.join()


def test_a_refusal_of_the_agent_is_one_sentence(line):
    near, far = line
    far.sendall(b"")
    thread = threading.Thread(target=lambda: (far.recv(65536), far.sendall(b'{"error": {"desc": "not allowed"}}\n')))
    thread.start()
    with pytest.raises(ImageError, match="The guest agent refused 'guest-exec': not allowed"):
        near.run("true")
    thread.join()
