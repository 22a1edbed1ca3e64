# SPDX-License-Identifier: GPL-2.0-or-later
"""A campaign that is being written, a sender and a watcher as real processes, and a way to wait for what they do."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from avocado_hvqual import wait
from avocado_hvqual.campaign.journal import Journal
from avocado_hvqual.model.plan import Plan
from tests import strategies as make

SECONDS = 40


def eventually(condition, what):
    return wait.until(condition, SECONDS, what)


def notes(folder):
    path = folder / "watch.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def kinds(folder):
    return [note["kind"] for note in notes(folder)]


class Writer:
    """Writes a campaign step by step, as one does that runs."""

    def __init__(self, folder):
        self.folder = folder
        head = make.header()
        fields = ("id", "profile", "selection", "lab", "node", "command", "versions")
        self.journal = Journal.create(folder, {name: getattr(head, name) for name in fields})
        self.journal.append("plan", Plan("production", (make.planned(),), (make.row(),)).to_json())
        self.journal.append("phase-begin", {"phase": "hypervisor"})
        self.journal.append("job-begin", {"phase": "hypervisor", "vt_type": "libvirt", "job_dir": "jobs/job-1"})

    def begin(self):
        self.logdir = "jobs/job-1/test-results/1-start"
        self.journal.append("case-begin", {"case": make.START, "logdir": self.logdir})
        make.write_trace(self.folder / self.logdir, make.trace())
        evidence = self.folder / self.logdir / "evidence"
        evidence.mkdir()
        (evidence / "console 'of; $(touch x) vm.log").write_bytes(os.urandom(700_000))

    def end(self):
        end = {"case": make.START, "status": "PASS", "fail_reason": "", "fail_class": "", "logdir": self.logdir}
        self.journal.append("case-end", {**end, "time": 4.5})
        self.journal.append("health-state", {"case": None, "state": "known", "reason": ""})

    def finish(self):
        self.journal.append("campaign-end", {"status": "finished"})
        self.journal.close()


@pytest.fixture
def processes():
    """Processes that are ended with the test, however it ends."""
    started = []
    yield started
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGCONT)
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream:
                stream.close()


@pytest.fixture
def sending(processes):
    """Begin a sender from a folder to a URI."""

    def begin(folder, uri, campaign="c-1"):
        command = [sys.executable, "-m", "avocado_hvqual.mirror.sender", str(uri), str(folder), campaign]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        return process

    return begin


@pytest.fixture
def watching(processes):
    """Begin a watcher over a folder."""

    def begin(folder, *more, silence=3):
        folder.mkdir(parents=True, exist_ok=True)
        code = "import sys; from avocado_hvqual.plugins.cli import dispatch; sys.exit(dispatch(sys.argv[1:]))"
        words = ["watch", str(folder), "--silence", str(silence), *more]
        process = subprocess.Popen([sys.executable, "-c", code, *words], stdout=subprocess.PIPE, text=True)
        processes.append(process)
        eventually(lambda: kinds(folder), "the watcher's first note")
        return process

    return begin


@pytest.fixture
def writer(tmp_path):
    made = Writer(tmp_path / "campaign")
    yield made
    made.journal.close()


def same(one: Path, other: Path) -> bool:
    """Whether every file of the first tree is in the other one, byte for byte."""
    files = [path for path in one.rglob("*") if path.is_file() and not path.name.startswith("mirror.")]
    return all((other / path.relative_to(one)).read_bytes() == path.read_bytes() for path in files)
