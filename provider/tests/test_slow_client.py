# SPDX-License-Identifier: GPL-2.0-or-later
"""A virsh that does not end: who keeps it waiting, and what that is called."""

import contextlib
import json
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest
from avocado.core.exceptions import TestFail

import libvirt
from provider.hvqual import slow_client
from provider.hvqual.expect import Expect
from provider.hvqual.record import Record
from provider.hvqual.wait import until

LIMIT = 0.5
REFUSED = "error: Failed to save domain 'vm1' state"


class Truth:
    """A libvirtd with a domain and its job, or without an answer."""

    def __init__(self, job=libvirt.VIR_DOMAIN_JOB_NONE):
        self.job = job

    def lookup(self, _name):
        """Return the domain."""
        if self.job is None:
            message = "the connection is broken"
            raise libvirt.libvirtError(message)
        return SimpleNamespace(jobInfo=lambda: [self.job, 0], isActive=lambda: 1)


def hangs(said):
    """Return an operation of virsh that says something and does not end in its time."""

    def managedsave(_name, *_args, timeout, **_kwargs):
        time.sleep(timeout)
        return SimpleNamespace(
            interrupted=f"timeout after {timeout}s", stderr_text=said, stdout_text="", exit_status=-15
        )

    return managedsave


@pytest.fixture
def ask(tmp_path):
    """Ask a virsh that hangs, and return the kind and the message of the problem."""

    def of(how, job, said):
        record = Record(tmp_path)
        expect = Expect(Truth(job), record, "qemu:///system", LIMIT)
        with contextlib.suppress(TestFail):
            getattr(expect, how)(hangs(said), "vm1")
        lines = map(json.loads, (tmp_path / "observations.jsonl").read_text().splitlines())
        [problem] = [line for line in lines if line["kind"] == "problem"]
        return problem["what"], problem["message"]

    return of


def test_a_refusal_that_never_ends_lacks_its_reason(ask):
    what, message = ask("answer", libvirt.VIR_DOMAIN_JOB_NONE, REFUSED)
    assert what == "missing-message"
    assert "libvirtd has no job on it" in message
    assert REFUSED in message


@pytest.mark.parametrize(
    ("how", "job", "said", "told"),
    [
        ("answer", libvirt.VIR_DOMAIN_JOB_UNBOUNDED, REFUSED, "still works on it"),
        ("answer", None, REFUSED, "It is not known whether libvirtd works on it: the connection is broken"),
        ("answer", libvirt.VIR_DOMAIN_JOB_NONE, "", "what it had said: nothing"),
        # What has to be done and was refused is worse than a word that is missing.
        ("act", libvirt.VIR_DOMAIN_JOB_NONE, REFUSED, "has no job on it"),
    ],
)
def test_all_else_that_never_ends_is_an_operation_that_was_not_done(ask, how, job, said, told):
    what, message = ask(how, job, said)
    assert what == "operation-refused"
    assert told in message


@pytest.mark.parametrize("domain", [None, SimpleNamespace(isActive=lambda: 0)])
def test_a_domain_that_is_off_or_not_there_has_no_job(domain):
    asked = threading.Event()
    truth = SimpleNamespace(lookup=lambda _name: (asked.set(), domain)[1])
    with slow_client.Look(truth, "vm1", 0.01) as look:
        until(asked.is_set, 5, "the look to begin", interval=0.01)
    assert look.job is False


def test_nobody_looks_at_what_ends_in_time():
    with slow_client.Look(Truth(), "vm1", 60) as look:
        pass
    assert (look.job, look.threads) == (None, [])


def test_a_libvirtd_that_does_not_answer_keeps_nobody_waiting(monkeypatch):
    monkeypatch.setattr(slow_client, "PATIENCE", 0.1)
    asked, given_up = threading.Event(), threading.Event()
    truth = SimpleNamespace(lookup=lambda _name: asked.set() or (given_up.wait(60) and None))
    with slow_client.Look(truth, "vm1", 0.01) as look:
        until(asked.is_set, 5, "the look to begin", interval=0.01)
    given_up.set()
    assert look.job is None
    assert "libvirtd does not answer" in look.text


def test_the_threads_are_those_of_the_virsh_of_that_domain():
    code = "import threading, time; threading.Thread(target=time.sleep, args=(60,)).start(); print(flush=True)"
    with subprocess.Popen(
        ["virsh", "-c", code, "managedsave", "vm1"], executable=sys.executable, stdout=subprocess.PIPE
    ) as virsh:
        try:
            virsh.stdout.readline()
            assert len(slow_client.threads_of("virsh", "vm1")) == 2
            assert slow_client.threads_of("virsh", "vm2") == []
        finally:
            virsh.kill()
