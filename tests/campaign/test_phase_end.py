# SPDX-License-Identifier: GPL-2.0-or-later
"""A phase ends after the test that runs: seen on a real avocado job, whose tests write down that they ran."""

import threading
from pathlib import Path

import pytest
from avocado.core.job import Job
from avocado.core.nrunner.runnable import Runnable

from avocado_hvqual import wait
from avocado_hvqual.campaign.folder import Folder
from avocado_hvqual.campaign.jobs import PhaseSuite, settings
from avocado_hvqual.campaign.phase_end import PhaseEnd


class Listening:
    """Tells a PhaseEnd of each start and end, as the campaign's hook does, from within avocado's loop."""

    def __init__(self, dispatcher, end):
        self.dispatcher, self.end = dispatcher, end

    def __getattr__(self, name):
        return getattr(self.dispatcher, name)

    def map_method(self, name, *args):
        if name in {"start_test", "end_test"}:
            self.end.heard()
        return self.dispatcher.map_method(name, *args)


@pytest.fixture
def job(tmp_path):
    config = settings(Folder(tmp_path, "c-1"))
    script = "echo begin >> $1; sleep 0.6; echo end >> $1"
    suites = [
        PhaseSuite(
            name,
            config,
            tests=[
                Runnable("exec-test", "/bin/sh", "-c", script, "sh", str(tmp_path / f"{name}-{number}"))
                for number in range(4)
            ],
        )
        for name in ("libvirt", "qemu")
    ]
    with Job(config, suites) as made:
        yield made


def ran(folder):
    return {path.name: path.read_text(encoding="utf-8").split() for path in sorted(Path(folder).glob("*-?"))}


def test_what_runs_ends_and_nothing_more_begins(job, tmp_path):
    end = PhaseEnd()
    end.follow(job.test_suites)
    for suite in job.test_suites:
        suite.end = end
    job._result_events_dispatcher = Listening(job.result_events_dispatcher, end)

    def ask():
        wait.until((tmp_path / "libvirt-1").exists, 30, "the second test")
        assert end.ask("it burns")
        assert not end.ask("it still burns")

    asking = threading.Thread(target=ask)
    asking.start()
    job.run()
    asking.join()
    assert ran(tmp_path) == {"libvirt-0": ["begin", "end"], "libvirt-1": ["begin", "end"]}
    assert job.interrupted_reason is None
    assert (end.reason, len(job.result.tests)) == ("it burns", 2)


def test_nothing_is_asked_so_everything_runs(job, tmp_path):
    end = PhaseEnd()
    end.follow(job.test_suites)
    job._result_events_dispatcher = Listening(job.result_events_dispatcher, end)
    job.run()
    assert len(ran(tmp_path)) == 8
