# SPDX-License-Identifier: GPL-2.0-or-later
"""A virsh that does not end: who keeps it waiting, and what that is called."""

import contextlib
import json
import shlex
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest
from avocado.core.exceptions import TestFail
from avocado.utils import process

import libvirt
from provider.hvqual import slow_client
from provider.hvqual.expect import Expect
from provider.hvqual.record import Record
from provider.hvqual.wait import until

LIMIT = 3.0
REFUSED = "error: Failed to save domain 'vm1' state"
NO_JOB, JOB = libvirt.VIR_DOMAIN_JOB_NONE, libvirt.VIR_DOMAIN_JOB_UNBOUNDED
# A process that the host sees as a virsh with these threads beside its own; it says something and waits for ever.
HANGS = """
import sys, threading
ever = threading.Event()
def named(name):
    open("/proc/thread-self/comm", "w").write(name)
    ever.wait()
said, *threads = sys.argv[3:]
for name in threads:
    threading.Thread(target=named, args=(name,), daemon=True).start()
print(said, file=sys.stderr, flush=True)
ever.wait()
"""


class Truth:
    """A libvirtd with a domain and its job, without the domain, or without an answer."""

    def __init__(self, job):
        self.job = job

    def lookup(self, _name):
        """Return the domain."""
        if self.job == "broken":
            message = "the connection is broken"
            raise libvirt.libvirtError(message)
        return None if self.job == "gone" else SimpleNamespace(jobInfo=lambda: [self.job, 0], isActive=lambda: 1)


@pytest.fixture
def virsh(tmp_path):
    """Return the words of a virsh that hangs, up to what it says and its threads."""
    link = tmp_path / "virsh"
    link.symlink_to(sys.executable)
    return [str(link), "-c", HANGS, "managedsave", "vm1"]


@pytest.fixture
def ask(tmp_path, virsh):
    """Ask a virsh that hangs, run as avocado-vt runs one, and return the kind and the message of the problem."""

    def of(how, job, said, threads=("vshEventLoop",)):
        def managedsave(_name, *, timeout, **_kwargs):
            return process.run(shlex.join([*virsh, said, *threads]), timeout=timeout, ignore_status=True)

        expect = Expect(Truth(job), Record(tmp_path), "qemu:///system", LIMIT)
        with contextlib.suppress(TestFail):
            getattr(expect, how)(managedsave, "vm1")
        lines = map(json.loads, (tmp_path / "observations.jsonl").read_text().splitlines())
        [problem] = [line for line in lines if line["kind"] == "problem"]
        return problem["what"], problem["message"]

    return of


def test_a_refusal_that_never_ends_lacks_its_reason(ask):
    what, message = ask("answer", NO_JOB, REFUSED)
    assert what == "missing-message"
    assert "libvirtd has no job on it; virsh's threads are: virsh, vshEventLoop." in message
    assert REFUSED in message


@pytest.mark.parametrize(
    ("how", "job", "said", "threads", "told"),
    [
        ("answer", JOB, REFUSED, ["vshEventLoop"], "still works on it"),
        ("answer", NO_JOB, REFUSED, ["vshEventLoop", "doManagedsave"], "virsh, vshEventLoop, doManagedsave"),
        ("answer", NO_JOB, "", ["vshEventLoop"], "what it had said: nothing"),
        ("answer", "gone", REFUSED, ["vshEventLoop"], "libvirtd knows no such domain"),
        ("answer", "broken", REFUSED, ["vshEventLoop"], "the connection is broken"),
        # What has to be done and was refused is worse than a word that is missing.
        ("act", NO_JOB, REFUSED, ["vshEventLoop"], "has no job on it"),
    ],
)
def test_all_else_that_never_ends_is_an_operation_that_was_not_done(ask, how, job, said, threads, told):
    what, message = ask(how, job, said, threads)
    assert what == "operation-refused"
    assert told in message


def test_a_domain_that_is_off_has_no_job():
    """libvirt 9.0 refuses to tell of it."""
    asked = threading.Event()
    domain = SimpleNamespace(isActive=lambda: asked.set() or 0)
    with slow_client.Look(SimpleNamespace(lookup=lambda _name: domain), "vm1", 0.01) as look:
        until(asked.is_set, 5, "the look to begin", interval=0.01)
    assert look.job is False
    assert not look.nobody_works, "there is no virsh"


def test_nobody_looks_at_what_ends_in_time():
    with slow_client.Look(Truth(NO_JOB), "vm1", 60) as look:
        pass
    assert (look.job, look.threads, look.nobody_works) == (None, [], False)


def test_a_libvirtd_that_does_not_answer_keeps_nobody_waiting(monkeypatch):
    monkeypatch.setattr(slow_client, "PATIENCE", 0.1)
    asked, given_up = threading.Event(), threading.Event()
    truth = SimpleNamespace(lookup=lambda _name: asked.set() or (given_up.wait(60) and None))
    with slow_client.Look(truth, "vm1", 0.01) as look:
        until(asked.is_set, 5, "the look to begin", interval=0.01)
    assert look.job is None
    assert "libvirtd does not answer" in look.text
    given_up.set()


def test_the_threads_are_those_of_the_virsh_of_that_domain(virsh):
    with subprocess.Popen([*virsh, "", "one", "two"], stderr=subprocess.PIPE) as running:
        try:
            running.stderr.readline()
            until(
                lambda: slow_client.threads_of("virsh", "vm1") == ["virsh", "one", "two"], 10, "the threads to be named"
            )
            assert slow_client.threads_of("virsh", "vm2") == []
        finally:
            running.kill()
