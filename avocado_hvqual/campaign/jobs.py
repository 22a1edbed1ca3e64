# SPDX-License-Identifier: GPL-2.0-or-later
"""One phase of a campaign as one ordinary avocado job of up to two suites, libvirt and qemu (decision 14)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from avocado.core.job import Job
from avocado.core.suite import TestSuite

from avocado_hvqual.campaign import hook
from avocado_hvqual.campaign.folder import Folder
from avocado_hvqual.campaign.host_watch import HostWatch
from avocado_hvqual.campaign.job_events import JobEvents, uid_of
from avocado_hvqual.campaign.journal import Journal
from avocado_hvqual.campaign.phase_end import PhaseEnd
from avocado_hvqual.campaign.progress import Progress
from avocado_hvqual.model.case import Phase
from avocado_hvqual.plan import Ready

AVOCADO_EXPECTED = 1 | 8
"""Tests failed, job interrupted: what an avocado job may end with and still have run."""


class PhaseSuite(TestSuite):
    """A suite that does not start once its job is over: avocado 113 goes on with the next suite after Ctrl-C."""

    end = PhaseEnd()

    def run(self, job: Any) -> set[str]:
        """Run the suite unless the job was interrupted, or the phase is to end."""
        if job.interrupted_reason is not None or self.end.reason:
            return {"INTERRUPTED"}
        found: set[str] = super().run(job)
        return found


@dataclass
class PhaseOutcome:
    """How the job of a phase ended."""

    exitcode: int
    interrupted: bool
    failures: list[str]
    events: JobEvents


def settings(folder: Folder) -> dict[str, Any]:
    """Return the avocado settings of our own jobs; nobody else's job sees them."""
    return {
        "run.results_dir": str(folder.jobs),
        "run.max_parallel_tasks": 1,
        "run.shuffle": False,
        "run.failfast": False,
        "run.test_parameters": [],
        "job.run.timeout": 0,
        # The runner hands on one log message in 10 ms.
        "job.output.loglevel": "INFO",
        # 0.4 s a job and a second look at the host, which the journal's first line and the node's state have.
        "sysinfo.collect.enabled": False,
        # The campaign speaks for itself.
        "stdout_claimed_by": "avocado hvqual",
    }


def _suites(cases: Sequence[Ready], config: dict[str, Any]) -> list[Any]:
    backends = sorted({case.planned.key.vt_type for case in cases})
    return [
        PhaseSuite(backend, config, tests=[case.runnable for case in cases if case.planned.key.vt_type == backend])
        for backend in backends
    ]


def _uids(cases: Sequence[Ready]) -> dict[str, Any]:
    counts: dict[str, int] = {}
    found = {}
    for case in cases:
        backend = case.planned.key.vt_type
        counts[backend] = counts.get(backend, 0) + 1
        found[uid_of(backend, counts[backend])] = case.planned.key
    return found


class Surroundings(NamedTuple):
    """What a phase's job runs in: the campaign's folder and journal, the watch over the host, and who tells the user."""

    folder: Folder
    journal: Journal
    watch: HostWatch
    progress: Progress
    end: PhaseEnd


def _listen(events: JobEvents, around: Surroundings) -> None:
    """Let the watch over the host, the user and whoever may end the phase know of each start and end of a case."""

    def on_start(case: str) -> None:
        around.end.heard()
        around.progress.start(case)

    def on_end(case: str, status: str, seconds: float) -> None:
        around.end.heard()
        around.watch.look(around.journal, case)
        around.progress.end(case, status, seconds)

    events.on_start, events.on_end = on_start, on_end


def run_phase(phase: Phase, cases: Sequence[Ready], around: Surroundings) -> PhaseOutcome:
    """Run the cases of one phase and return how the job ended; what the tests did stands in the journal."""
    config = settings(around.folder)
    events = JobEvents(around.journal, around.folder.path, _uids(cases))
    _listen(events, around)
    around.journal.append("phase-begin", {"phase": phase.value})
    with Job(config, _suites(cases, config)) as job:
        around.end.follow(job.test_suites)
        for suite in job.test_suites:
            suite.end = around.end
            line = {"phase": phase.value, "vt_type": suite.name, "job_dir": events.relative(job.logdir) or "."}
            around.journal.append("job-begin", line)
        watched = hook.attach(job, events)
        try:
            exitcode = job.run()
        finally:
            hook.settle(watched)
            hook.detach(job)
    # The reason of a Ctrl-C is an empty text (avocado 113): only None says that nothing interrupted the job.
    failures = [*watched.failures, *hook.broken(job)]
    if exitcode & ~AVOCADO_EXPECTED:
        failures.append(f"The avocado job of the phase {phase.value} broke (status {exitcode}); see '{job.logfile}'.")
    return PhaseOutcome(exitcode, job.interrupted_reason is not None, failures, events)
