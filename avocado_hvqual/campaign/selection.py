# SPDX-License-Identifier: GPL-2.0-or-later
"""A plain ``avocado run`` of cases of ours: journal and judgement in the job's own folder, as a SELECTION."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from avocado.core.output import LOG_UI

from avocado_hvqual.campaign import facts, hook
from avocado_hvqual.campaign.folder import host_id
from avocado_hvqual.campaign.host_watch import HostWatch
from avocado_hvqual.campaign.job_events import JobEvents
from avocado_hvqual.campaign.journal import Journal
from avocado_hvqual.errors import DefinitionError
from avocado_hvqual.model.case import Phase
from avocado_hvqual.model.plan import Plan, PlannedCase


def _profile(cases: list[PlannedCase]) -> str:
    profiles = sorted({case.params["hv_profile"] for case in cases})
    return profiles[0] if len(profiles) == 1 else "+".join(profiles)


def _header(job: Any, profile: str) -> dict[str, Any]:
    return {
        "id": f"job-{job.unique_id[:7]}",
        "profile": profile,
        "selection": True,
        "lab": profile != "production" or host_id() != "local",
        "node": facts.node(),
        "command": " ".join(sys.argv),
        "versions": facts.versions(),
    }


def begin(job: Any) -> hook.Watched:
    """
    Return the watch over a plain job, with the whole plan on disk before the first test.

    DefinitionError when two of its tests claim one case: their results could not be told apart.
    """
    folder = hook.folder_of(job)
    cases = hook.cases_of(job)
    keys = [case.key for case in cases.values()]
    doubled = sorted({str(key) for key in keys if keys.count(key) > 1})
    if doubled:
        message = f"This job holds more than once: {', '.join(doubled)}. Select each case once."
        raise DefinitionError(message)
    profile = _profile(list(cases.values()))
    journal = Journal.create(folder, _header(job, profile))
    journal.append("plan", Plan(profile, tuple(cases.values()), ()).to_json())
    for phase in Phase:
        if any(case.phase is phase for case in cases.values()):
            journal.append("phase-begin", {"phase": phase.value})
    watch = HostWatch(folder, f"job-{job.unique_id[:7]}")
    watch.start()
    watched = hook.Watched(job, JobEvents(journal, folder, hook.keys_of(cases)))
    watched.events.on_end = lambda case, _status, _seconds: watch.look(journal, case)
    watched.conclude = lambda it: _conclude(it, watch, folder)
    return watched


def _conclude(watched: hook.Watched, watch: HostWatch, folder: Path) -> int:
    """Close the journal, judge, write the reports; return the exit status that the job deserves by our lights."""
    journal, job = watched.events.journal, watched.job
    watched.guarded(lambda: _close(watched, watch), "Closing the journal")
    journal.close()
    from avocado_hvqual.campaign import outcome

    done = outcome.conclude(folder)
    LOG_UI.info("HVQUAL     : %s", done.line())
    LOG_UI.info("HVQUAL HTML: %s", done.page)
    return 0 if job.exitcode else done.plain_status


def _close(watched: hook.Watched, watch: HostWatch) -> None:
    journal = watched.events.journal
    watch.finish(journal, watched.events.started)
    for failure in watched.failures:
        journal.append("problem", {"message": failure, "where": "hook"})
    interrupted = watched.job.interrupted_reason is not None
    journal.append("campaign-end", {"status": "interrupted" if interrupted else "finished"})
