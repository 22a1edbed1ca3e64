# SPDX-License-Identifier: GPL-2.0-or-later
"""
What happens around an avocado job that holds a case of ours: journal, health, watchdog, and at the end the judge.

A job without one of our cases is left alone: nothing is read, written or said. A plain ``avocado run`` is judged as a SELECTION;
a job of ``avocado hvqual run`` brings its own journal (``attach``) and is judged by the campaign.

Avocado logs and forgets an exception of a hook, and takes no exit status from one but through SystemExit in the last JobPost
(avocado 113, job.py). So everything that goes wrong here is kept, and ``after`` ends the process with a status that is not 0.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Callable, Optional

from avocado.core.exceptions import JobError
from avocado.core.output import LOG_UI

from avocado_hvqual import catalog
from avocado_hvqual.campaign import libvirt_probe, processes
from avocado_hvqual.campaign.job_events import JobEvents, uid_of
from avocado_hvqual.campaign.watchdog import MARGIN_SECONDS, Watchdog
from avocado_hvqual.errors import HvqualError
from avocado_hvqual.model.case import CaseKey
from avocado_hvqual.model.plan import PlannedCase

CRASHED = 2
HELPER_SECONDS = 1.0
"""Avocado's own bit for a job that failed: the least that a broken hook ends with."""


class Watched:
    """One job with cases of ours while it runs."""

    def __init__(self, job: Any, events: JobEvents) -> None:
        self.job = job
        self.events = events
        self.watchdog = Watchdog(job)
        self.failures: list[str] = []
        self.began = False
        self.settled = False
        self.conclude: Callable[[Watched], int] = lambda _watched: 0

    def guarded(self, step: Callable[[], None], what: str) -> None:
        """Run a step of a hook; what it raises is kept for the end, because avocado would forget it."""
        try:
            step()
        except Exception as error:  # noqa: BLE001 - nothing that went wrong with judging may end in 0
            self.failures.append(f"{what} failed: {_told(error)}")
            LOG_UI.error("avocado-hvqual: %s failed: %s", what, _told(error))


_WATCHED: dict[str, Watched] = {}
_BROKEN: dict[str, str] = {}


def _told(error: BaseException) -> str:
    return str(error) if isinstance(error, HvqualError) else f"{type(error).__name__}: {error}"


def holds_ours(job: Any) -> bool:
    """Return whether a job holds a case of ours."""
    return any(catalog.is_ours(runnable) for suite in job.test_suites for runnable in suite.tests or ())


def cases_of(job: Any) -> dict[str, PlannedCase]:
    """Return the cases of a job by avocado's uid; DefinitionError when one is not defined well."""
    found = {}
    for suite in job.test_suites:
        for index, runnable in enumerate(suite.tests or (), 1):
            if catalog.is_ours(runnable):
                found[uid_of(suite.name, index)] = catalog.planned(runnable.kwargs, runnable.uri)
    return found


def keys_of(cases: Mapping[str, PlannedCase]) -> dict[str, CaseKey]:
    """Return the case keys by avocado's uid."""
    return {uid: case.key for uid, case in cases.items()}


def _let_helpers_be_found() -> None:
    """
    Let the runner find aexpect_helper, which aexpect looks for in PATH only.

    It lies beside the interpreter; called as ``venv/bin/avocado`` without activating the environment, PATH does not have it.
    The folder goes last, so nothing of the system's is replaced.
    """
    if shutil.which("aexpect_helper") is None:
        os.environ["PATH"] = f"{os.environ.get('PATH', os.defpath)}{os.pathsep}{Path(sys.executable).parent}"


def tame(job: Any) -> None:
    """
    Set for our own runnables and suites alone what avocado's defaults would do to them.

    A runner forwards one log message in 10 ms, so DEBUG costs more than many a case; a suite without a limit waits for ever
    when even the watchdog died. What a user set is left.
    """
    _let_helpers_be_found()
    processes.mark()
    for suite in job.test_suites:
        ours = [runnable for runnable in suite.tests or () if catalog.is_ours(runnable)]
        for runnable in ours:
            if runnable.config.get("job.output.loglevel") == "DEBUG":
                runnable.config = {**runnable.config, "job.output.loglevel": "INFO"}
        if ours and len(ours) == len(suite.tests) and suite.config.get("task.timeout.running") is None:
            longest = max(float(runnable.kwargs.get("hv_timeout", 0)) for runnable in ours)
            suite.config["task.timeout.running"] = int(longest + 3 * MARGIN_SECONDS)


def attach(job: Any, events: JobEvents) -> Watched:
    """Let a campaign watch its own job; the campaign calls ``detach`` at its end."""
    _WATCHED[job.unique_id] = Watched(job, events)
    return _WATCHED[job.unique_id]


def detach(job: Any) -> Optional[Watched]:
    """Forget a job; return what was known of it."""
    return _WATCHED.pop(job.unique_id, None)


def broken(job: Any) -> list[str]:
    """Return why a job was ended before its first test, if it was."""
    return [_BROKEN[job.unique_id]] if job.unique_id in _BROKEN else []


def before(job: Any) -> None:
    """
    Begin to watch a job (JobPre). JobError ends the job with one sentence and avocado's status 2.

    Nothing ran yet, so a job that could not be judged is ended here instead of wasting a night.
    """
    if not holds_ours(job):
        return
    try:
        tame(job)
        watched = _WATCHED.get(job.unique_id)
        if watched is None:
            from avocado_hvqual.campaign import selection

            watched = selection.begin(job)
            _WATCHED[job.unique_id] = watched
        if watched.began:
            # Two installations on one path register the hook twice; the second one has nothing left to do.
            return
        watched.began = True
        libvirt_probe.demand(job)
        watched.watchdog.start()
    except HvqualError as error:
        _BROKEN[job.unique_id] = str(error)
        raise JobError(str(error)) from error
    except Exception as error:
        _BROKEN[job.unique_id] = _told(error)
        message = f"avocado-hvqual cannot watch this job: {_told(error)}"
        raise JobError(message) from error


def started(job_id: str, state: Mapping[str, Any]) -> None:
    """Take the event that a test started."""
    watched = _WATCHED.get(job_id)
    if watched is not None:
        watched.guarded(lambda: watched.events.start(state), "Noting the start of a test")


def ended(job_id: str, state: Mapping[str, Any]) -> None:
    """Take the event that a test ended."""
    watched = _WATCHED.get(job_id)
    if watched is not None:
        watched.guarded(lambda: watched.events.end(state), "Noting the end of a test")


def settle(watched: Watched) -> None:
    """End what the tests of a finished job left running and take the results that no event told."""
    job = watched.job
    watched.guarded(lambda: watched.failures.extend(watched.watchdog.stop()), "Ending what tests left running")
    watched.guarded(lambda: _end_helpers(watched), "Ending avocado-vt's helpers")
    if watched.watchdog.failure:
        watched.failures.append(watched.watchdog.failure)
    watched.guarded(lambda: watched.events.reconcile(list(job.result.tests)), "Taking avocado's list of results")
    watched.failures.extend(watched.events.failures)


def _end_helpers(watched: Watched) -> None:
    """End the helpers of avocado-vt that outlived their tests: the node has no process more than before."""
    mark = os.environ.pop(processes.MARK, "")
    left = processes.kill(processes.marked(mark), HELPER_SECONDS) if mark else []
    watched.failures.extend(f"Process {process.pid} of a test lives on though it was killed." for process in left)


def after(job: Any) -> None:
    """
    Judge the job (JobPost, the last of all); SystemExit where avocado would end with 0 and must not.

    A campaign's job is judged by the campaign, so nothing is said here for it.
    """
    watched = _WATCHED.get(job.unique_id)
    if watched is None:
        if job.unique_id in _BROKEN and not job.exitcode:
            sys.exit(CRASHED)
        return
    if watched.settled:
        return
    watched.settled = True
    status = CRASHED
    try:
        watched.failures.extend(broken(job))
        settle(watched)
        status = watched.conclude(watched)
    except Exception as error:  # noqa: BLE001 - nothing that went wrong with judging may end in 0
        LOG_UI.error("avocado-hvqual: this job could not be judged: %s", _told(error))
        watched.failures.append(_told(error))
    finally:
        status = status or (CRASHED if watched.failures else 0)
        if status and not job.exitcode:
            sys.exit(status)


def folder_of(job: Any) -> Path:
    """Return the job's result folder."""
    return Path(job.logdir)
