# SPDX-License-Identifier: GPL-2.0-or-later
"""The programs that checks run on a node, run for real: on files, on a loop device, against a server, in a namespace."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from avocado_hvqual.preparation.programs import answer, guest_xml, lun, traffic

PROGRAMS = Path(lun.__file__).parent
MIB = 1 << 20
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def run(program, *arguments):
    done = subprocess.run(
        [sys.executable, str(PROGRAMS / f"{program}.py"), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, json.loads(done.stdout)


@pytest.fixture
def disk(tmp_path):
    """A file that stands for a LUN, with something in it that is no signature."""
    path = tmp_path / "lun"
    path.write_bytes(os.urandom(4096) + bytes(8 * MIB - 4096))
    return path


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_what_was_on_a_lun_is_there_again(disk):
    before = digest(disk)
    assert run("lun", "look", disk) == (0, {"trouble": [], "bytes": 8 * MIB})
    status, told = run("lun", "pattern", disk)
    assert (status, told["wrong"], told["not_put_back"], told["places"]) == (0, [], [], [0, 3 * MIB, 7 * MIB])
    assert digest(disk) == before
    assert run("lun", "pattern", disk)[1]["sha256"] != told["sha256"]


def test_a_path_that_leads_elsewhere_is_named(disk, tmp_path):
    other = tmp_path / "other"
    other.write_bytes(bytes(8 * MIB))
    _status, told = run("lun", "pattern", disk, other)
    assert told["wrong"] == [f"{other} at {at}" for at in (0, 3 * MIB, 7 * MIB)]


def test_a_signature_stops_the_pattern_before_a_byte_is_written(disk):
    subprocess.run(["mkfs.ext4", "-q", "-F", str(disk)], check=True, capture_output=True)
    before = digest(disk)
    assert run("lun", "look", disk)[1]["trouble"] == ["signature ext4 at 0x438"]
    status, told = run("lun", "pattern", disk)
    assert (status, told["error"]) == (1, "it is not free: signature ext4 at 0x438")
    assert digest(disk) == before


def test_who_has_a_lun_open_is_named(disk):
    with disk.open("rb"):
        (trouble,) = run("lun", "look", disk)[1]["trouble"]
        status, told = run("lun", "pattern", disk)
    assert trouble.startswith("open by ")
    assert str(os.getpid()) in trouble
    assert (status, "not free" in told["error"]) == (1, True)


def test_what_is_too_small_or_not_there_is_an_error(tmp_path):
    small = tmp_path / "small"
    small.write_bytes(bytes(MIB))
    assert "less than" in run("lun", "pattern", small)[1]["error"]
    assert run("lun", "look", tmp_path / "none")[0] == 1


def test_each_block_says_where_it_belongs_and_to_which_run():
    seed, other = b"a" * 16, b"b" * 16
    blocks = {lun.block(it, at) for it in (seed, other) for at in (0, 4096, 1 << 40)}
    assert len(blocks) == 6
    assert {len(it) for it in blocks} == {4096}


@root_only
def test_a_loop_device_that_the_kernel_keeps_is_not_free(disk):
    made = subprocess.run(["losetup", "--find", "--show", str(disk)], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        pytest.skip(f"no loop device here: {made.stderr.strip()}")
    device = made.stdout.strip()
    try:
        assert run("lun", "pattern", device)[1]["wrong"] == []
        kept = os.open(device, os.O_RDONLY | os.O_EXCL)
        try:
            trouble = run("lun", "look", device)[1]["trouble"]
        finally:
            os.close(kept)
        assert any(it.startswith("open by") for it in trouble)
        assert any(it.startswith("the kernel keeps it") for it in trouble)
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


@contextmanager
def serving(status, body, location=None):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            if location:
                self.send_header("Location", location)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_words):
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/metrics"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_daemon_is_heard_and_no_redirection_followed():
    with serving(200, b"up 1\n\xff") as url:
        assert answer.ask(url) == {"status": 200, "text": "up 1\n�"}
        assert run("answer", url) == (0, {"status": 200, "text": "up 1\n�"})
    with serving(302, b"", "http://127.0.0.1:1/") as url:
        assert answer.ask(url)["status"] == 302
    with serving(200, b"") as url:
        closed = url
    assert "refused" in answer.ask(closed)["error"]


OUTSIDE = """
import subprocess, sys
sys.path.insert(0, sys.argv[1])
from avocado_hvqual.preparation.programs.outside import outside
def ping(*words):
    return subprocess.run(["ping", "-i0.2", *words], capture_output=True).returncode
def links():
    return subprocess.run(["ip", "-o", "link"], capture_output=True, text=True).stdout.count("hvqprep0")
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
subprocess.run(["ip", "addr", "add", "198.51.100.1/32", "dev", "lo"], check=True)
with outside() as there:
    seen = [ping("-c5", "-W5", there), ping("-c2", "-W1", "-I", "198.51.100.1", there), links()]
print(seen, links())
"""


@root_only
def test_the_outside_answers_who_is_translated_and_nobody_else():
    """From an address that only the host knows, as a guest's is, nothing comes back: an answer shows that NAT was there."""
    package = str(PROGRAMS.parents[2])
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-c", OUTSIDE, package], capture_output=True, text=True, check=False
    )
    if done.returncode != 0 and "Operation not permitted" in done.stderr:
        pytest.skip("no network namespaces here")
    assert done.stdout.strip() == "[0, 1, 1] 0", done.stderr


def test_a_name_resolves_to_what_the_server_said_and_not_to_the_server():
    said = "Server:\t\t192.168.122.1\nAddress:\t192.168.122.1:53\n\nName:\tguest\nAddress: 192.168.122.138\n\n"
    assert traffic.answers(said, "192.168.122.1") == ["192.168.122.138"]
    assert traffic.answers("** server can't find guest: NXDOMAIN\n", "192.168.122.1") == []


def test_guests_of_a_check_carry_our_mark_and_die_with_it(tmp_path):
    manifest = {"kernel": "k", "initrd": "i", "cmdline": "console=ttyS0", "min_memory_kib": 131072}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    image = guest_xml.Image.of(tmp_path)
    text = guest_xml.networked_guest("hvq-prep-a<b", "tcg", image, [("network", "a'b"), ("bridge", "br0")])
    assert "hvqual:owner" in text
    assert "<name>hvq-prep-a&lt;b</name>" in text
    assert 'network="a\'b"' in text
    assert "nohz=off" in text
    assert "type='kvm'" in guest_xml.empty_guest("hvq-prep-x", "kvm")
