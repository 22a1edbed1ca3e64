# SPDX-License-Identifier: GPL-2.0-or-later
"""
The hook into every avocado job: jobs that hold a case of ours are watched and judged, all others left alone.

Thin and cheap on purpose: these classes are made for each job of that user, so nothing is imported before a job is known to hold
a case of ours, and nothing may be raised while avocado loads them.
"""

from __future__ import annotations

from typing import Any

from avocado.core.extension_manager import PluginPriority
from avocado.core.plugin_interfaces import JobPost, JobPre, ResultEvents


def _concerns_us(job: Any) -> bool:
    """Return whether a job holds a runnable with one of our parameters, or from a provider of ours."""
    for suite in getattr(job, "test_suites", None) or ():
        for runnable in suite.tests or ():
            kwargs = getattr(runnable, "kwargs", None) or {}
            if kwargs.get("hv_id") or str(kwargs.get("provider", "")).startswith("avocado-hvqual"):
                return True
    return False


class HvqualJob(JobPre, JobPost):
    """Begins before the first test and judges after the last result file was written."""

    name = "hvqual"
    description = "Watches and judges jobs that hold hvqual cases"
    # The only hook whose SystemExit keeps all result files: the last JobPost (avocado 113).
    priority = PluginPriority.LAST_RESORT

    def pre(self, job: Any) -> None:
        """Begin to watch the job."""
        if _concerns_us(job):
            from avocado_hvqual.campaign import hook

            hook.before(job)

    def post(self, job: Any) -> None:
        """Judge the job."""
        if _concerns_us(job):
            from avocado_hvqual.campaign import hook

            hook.after(job)


class HvqualEvents(ResultEvents):
    """Takes what avocado tells of each test."""

    name = "hvqual"
    description = "Journal of hvqual cases"

    def __init__(self, config: Any) -> None:  # noqa: ARG002 - avocado passes it by name
        self._ours: set[str] = set()

    def pre_tests(self, job: Any) -> None:
        """Remember whether the job is one of ours."""
        if _concerns_us(job):
            self._ours.add(job.unique_id)

    def start_test(self, result: Any, state: Any) -> None:
        """Take the start of a test; it comes some 20 ms after the test itself began."""
        if result.job_unique_id in self._ours:
            from avocado_hvqual.campaign import hook

            hook.started(result.job_unique_id, state)

    def test_progress(self, progress: bool = False) -> None:  # noqa: FBT001, FBT002 - avocado's signature
        """Nothing: avocado-vt tells none."""

    def end_test(self, result: Any, state: Any) -> None:
        """Take the end of a test."""
        if result.job_unique_id in self._ours:
            from avocado_hvqual.campaign import hook

            hook.ended(result.job_unique_id, state)

    def post_tests(self, job: Any) -> None:
        """Nothing: results are not rendered yet, and an exit status set here is lost."""
