# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a mirror goes, and that no text of anybody's goes through a shell."""

import io
import json
import string
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avocado_hvqual.errors import PlanError
from avocado_hvqual.mirror import receiver
from avocado_hvqual.mirror.address import BOOTSTRAP, SSH, parse


@pytest.mark.parametrize(
    ("uri", "folder"),
    [
        ("/mnt/x", "/mnt/x"),
        ("file:///mnt/a%20b", "/mnt/a b"),
        ("/mnt/a b$(x)'\";", "/mnt/a b$(x)'\";"),
        ("/mnt/a%20b", "/mnt/a%20b"),
    ],
)
def test_a_mounted_path(uri, folder):
    found = parse(uri)
    assert (found.folder, found.command) == (folder, (sys.executable, "-I", "-c", BOOTSTRAP))


def test_ssh():
    found = parse("ssh://ops@desk.example:2222/srv/m%20n")
    assert found.folder == "/srv/m n"
    assert found.command[: len(SSH)] == SSH
    assert "BatchMode=yes" in SSH
    expected = ("-p", "2222", "-l", "ops", "--", "desk.example", f"exec python3 -I -c '{BOOTSTRAP}'")
    assert found.command[len(SSH) :] == expected
    assert "'" not in BOOTSTRAP


def test_an_ssh_configuration(tmp_path):
    config = tmp_path / "config"
    config.write_text("", encoding="utf-8")
    found = parse(f"ssh://desk/srv?config={config}")
    assert found.command[len(SSH) : len(SSH) + 2] == ("-F", str(config))


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "relative",
        "file://host/x",
        "file:x",
        "http://host/x",
        "ssh://host",
        "ssh:///x",
        "ssh://-oProxyCommand=x/y",
        "ssh://a@-oProxyCommand=x/y",
        "ssh://-l@host/y",
        "ssh://a%20b@host/y",
        "ssh://host%0a/y",
        "ssh://host/a/../../etc",
        "ssh://user:secret@host/y",
        "ssh://host/y?proxy=x",
        "ssh://host/y?config=/no/such/file",
        "ssh://host:port/y",
        "ssh://host:99999/y",
        "/",
        "/a/../b",
        "/a\0b",
    ],
)
def test_what_is_no_address_is_said_so(uri):
    with pytest.raises(PlanError, match="--mirror takes"):
        parse(uri)


@given(st.text(string.printable + "'\u20ac", min_size=1, max_size=30))
def test_whatever_the_path_the_remote_command_is_the_same(path):
    try:
        found = parse(f"ssh://host/{path}")
    except PlanError:
        return
    assert found.command == (*SSH, "--", "host", f"exec python3 -I -c '{BOOTSTRAP}'")


class Pipe(io.StringIO):
    """A text stream with a buffer below it."""

    def __init__(self, data=b""):
        super().__init__()
        self.buffer = io.BytesIO(data)


def orders(monkeypatch, *given, body=b""):
    data = b"".join(json.dumps(order).encode() + b"\n" + body for order in given)
    out = Pipe()
    monkeypatch.setattr(receiver.sys, "stdin", Pipe(data))
    monkeypatch.setattr(receiver.sys, "stdout", out)
    receiver.main()
    return [json.loads(line) for line in out.buffer.getvalue().splitlines()]


@pytest.mark.parametrize(
    "path",
    [
        "../x",
        "/etc/passwd",
        "a/../../x",
        "",
        ".",
        "a//b",
        "heartbeat.json",
        "watch.jsonl",
        ".hvqual-mirror",
        "a\0b",
        "out/x",
    ],
)
def test_a_node_cannot_write_out_of_its_folder_nor_for_the_watcher(tmp_path, monkeypatch, path):
    folder = tmp_path / "there"
    folder.mkdir()
    begin = {"op": "open", "folder": str(folder), "campaign": "c"}
    orders(monkeypatch, begin)
    (folder / "out").symlink_to(tmp_path)
    said = orders(
        monkeypatch,
        begin,
        {"op": "append", "path": path, "offset": 0},
        {"op": "have", "path": path},
        {"op": "aside", "path": path},
    )
    assert all("error" in answer for answer in said[1:])
    assert sorted(path.name for path in folder.iterdir()) == [".hvqual-mirror", "out"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["there"]


def test_a_link_at_the_end_is_not_followed(tmp_path, monkeypatch):
    folder, victim = tmp_path / "there", tmp_path / "victim"
    victim.write_text("", encoding="utf-8")
    begin = {"op": "open", "folder": str(folder), "campaign": "c"}
    orders(monkeypatch, begin)
    (folder / "journal.jsonl").symlink_to(victim)
    said = orders(monkeypatch, begin, {"op": "append", "path": "journal.jsonl", "offset": 0, "size": 3}, body=b"")
    assert victim.read_text(encoding="utf-8") == ""
    assert len(said) == 1, "an order whose bytes do not come is the end"


@pytest.mark.parametrize(
    "data",
    [
        b"\n",
        b"{}\n",
        b"[]\n",
        b"\xff\n",
        b'{"op":"format"}\n',
        b'{"op":"append","path":"x","offset":0}\n',
        b'{"op":"have"}\n',
    ],
)
def test_nonsense_is_answered_and_does_nothing(tmp_path, data):
    done = subprocess.run(
        [sys.executable, receiver.__file__], input=data, capture_output=True, cwd=tmp_path, timeout=20, check=True
    )
    assert "error" in json.loads(done.stdout)
    assert done.stderr == b""
    assert list(tmp_path.iterdir()) == []


def test_an_offset_that_does_not_fit_is_refused(tmp_path, monkeypatch):
    begin = {"op": "open", "folder": str(tmp_path / "t"), "campaign": "c"}
    said = orders(monkeypatch, begin, {"op": "append", "path": "x", "offset": 7})
    assert "has 0 bytes, not 7" in said[1]["error"]
