# SPDX-License-Identifier: GPL-2.0-or-later
"""The same over ssh: a real server on the loopback, in a mount namespace in which root's home is a folder of the test."""

import json
import os
import shutil
import socket
import subprocess

import pytest

from avocado_hvqual import wait
from avocado_hvqual.errors import HvqualError
from avocado_hvqual.journal_reading import read
from avocado_hvqual.mirror import mirror
from tests.mirror.conftest import eventually, same

TOOLS = ("dropbear", "dropbearkey", "ssh", "ssh-keygen", "unshare")
missing = [tool for tool in TOOLS if shutil.which(tool) is None]
pytestmark = [
    pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}"),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a mount namespace"),
]


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def answers(port):
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as one:
            return one.recv(3) == b"SSH"
    except OSError:
        return False


def keys(tmp_path, home):
    """Give root's home a key that is let in, and the server one of its own."""
    (home / ".ssh").mkdir(parents=True, mode=0o700)
    home.chmod(0o700)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")], check=True)
    subprocess.run(["dropbearkey", "-t", "ed25519", "-f", str(tmp_path / "host_key")], check=True, capture_output=True)
    shutil.copy(tmp_path / "key.pub", home / ".ssh/authorized_keys")
    (home / ".ssh/authorized_keys").chmod(0o600)


def client_config(tmp_path):
    config = tmp_path / "config"
    config.write_text(
        f"Host *\nIdentityFile {tmp_path}/key\nIdentitiesOnly yes\nStrictHostKeyChecking accept-new\n"
        f"UserKnownHostsFile {tmp_path}/known\nLogLevel ERROR\n",
        encoding="utf-8",
    )
    return config


def begun(tmp_path, home, port):
    """A server in namespaces of its own, which answers."""
    inner = 'mount --bind "$1" /root && exec dropbear -F -E -s -r "$2" -p "$3" -P "$4"'
    given = [str(home), str(tmp_path / "host_key"), f"127.0.0.1:{port}", str(tmp_path / "pid")]
    words = ["unshare", "-m", "-p", "-f", "--kill-child", "sh", "-c", inner, "sh", *given]
    with (tmp_path / "server.log").open("ab") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log, start_new_session=True)
    wait.until(lambda: answers(port), 20, "the ssh server")
    return process


@pytest.fixture
def server(tmp_path):
    """Begin a server that knows one key; return (URI of a folder, options, a way to begin it again, its processes)."""
    home, port, started = tmp_path / "home", free_port(), []
    keys(tmp_path, home)

    def begin():
        started.append(begun(tmp_path, home, port))
        return started[-1]

    try:
        begin()
        yield f"ssh://root@127.0.0.1:{port}", f"?config={client_config(tmp_path)}", begin, started
    finally:
        for process in started:
            process.kill()
            process.wait()


def test_a_campaign_over_ssh_is_the_same_at_the_end(tmp_path, writer, server):
    where, options, _begin, _started = server
    there = tmp_path / "there $(touch hole) 'a' \"b\""
    uri = f"{where}{str(there).replace(' ', '%20')}{options}"
    mirror.demand(uri, "c-1")
    it = mirror.Mirror(uri, writer.folder, "c-1")
    it.start()
    it.attach(writer.journal.append)
    writer.begin()
    eventually((there / writer.logdir / "observations.jsonl").exists, "the record")
    writer.end()
    it.detach()
    writer.finish()
    assert it.finish(60), it.failures
    assert same(writer.folder, there)
    assert not list(tmp_path.rglob("hole"))


def test_a_server_that_was_killed_is_gone_on_with(tmp_path, writer, server):
    where, options, begin, started = server
    there = tmp_path / "there"
    it = mirror.Mirror(f"{where}{there}{options}", writer.folder, "c-1")
    it.start()
    it.attach(writer.journal.append)
    eventually((there / "journal.jsonl").exists, "the mirrored journal")
    started[0].kill()
    started[0].wait()
    writer.begin()
    eventually(
        lambda: [line for line in read(writer.folder).lines if line.kind == "mirror"][-1].data["state"] == "lost",
        "the loss",
    )
    begin()
    eventually((there / writer.logdir / "observations.jsonl").exists, "the record")
    writer.end()
    it.detach()
    writer.finish()
    assert it.finish(60), it.failures
    assert same(writer.folder, there)
    assert json.loads((there / "heartbeat.json").read_text(encoding="utf-8"))["state"] == "ended"


def test_a_server_that_does_not_know_us_is_told_beforehand(tmp_path, server):
    where, options, _begin, _started = server
    (tmp_path / "home/.ssh/authorized_keys").write_text("", encoding="utf-8")
    with pytest.raises(HvqualError, match=r"Permission denied.*Nothing was started\."):
        mirror.demand(f"{where}/srv/x{options}", "c-1")
