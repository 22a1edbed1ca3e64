# SPDX-License-Identifier: GPL-2.0-or-later
"""A plain ``avocado run`` of cases of ours: journal and judgement in the job's own folder, as a SELECTION."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from avocado.core.output import LOG_UI

from avocado_hvqual import catalog
from avocado_hvqual.campaign import around, facts, hook
from avocado_hvqual.campaign.folder import Folder, host_id, note_ended, note_open
from avocado_hvqual.campaign.host_watch import HostWatch
from avocado_hvqual.campaign.job_events import JobEvents
from avocado_hvqual.campaign.journal import Journal
from avocado_hvqual.errors import DefinitionError
from avocado_hvqual.model.case import CaseKey, Phase
from avocado_hvqual.model.plan import Plan, PlannedCase


def _profile(cases: list[PlannedCase]) -> str:
    profiles = sorted({case.params["hv_profile"] for case in cases})
    return profiles[0] if len(profiles) == 1 else "+".join(profiles)


def _id(job: Any) -> str:
    return f"job-{job.unique_id[:7]}"


def _header(job: Any, profile: str) -> dict[str, Any]:
    return {
        "id": _id(job),
        "profile": profile,
        "selection": True,
        "lab": profile != "production" or host_id() != "local",
        "node": facts.node(),
        "command": " ".join(sys.argv),
        "versions": facts.versions(),
    }


def _as_shipped(cases: Iterable[PlannedCase]) -> tuple[list[PlannedCase], list[dict[str, str]]]:
    """
    Return the cases as the cfgs ship them, and each ``hv_*`` parameter that the job gave another value.

    A filter or --vt-extra-params changes what a test asks and owes; it does not change what is asked of the node. A case that the cfgs
    do not hold at all is judged as it says of itself, and told as such.
    """
    loaded: dict[tuple[str, str], Mapping[CaseKey, catalog.Entry]] = {}
    planned, changes = [], []
    for case in cases:
        place = (case.params["hv_profile"], case.key.vt_type)
        if place not in loaded:
            loaded[place] = catalog.load(place[0], place[1:])
        entry = loaded[place].get(case.key)
        shipped = entry.planned if entry else case
        planned.append(shipped)
        if entry is None:
            changes.append({"name": "hv_id", "value": str(case.key), "profile_value": "", "case": str(case.key)})
        for name in sorted(case.params.keys() | shipped.params.keys()):
            value, meant = case.params.get(name, ""), shipped.params.get(name, "")
            if value != meant:
                changes.append({"name": name, "value": value, "profile_value": meant, "case": str(case.key)})
    return planned, changes


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
    # A user without root has no state home, and what a kill leaves of the job is then judged as it lies.
    with contextlib.suppress(OSError):
        note_open(Folder(folder, _id(job)))
    shipped, changes = _as_shipped(cases.values())
    journal.append("plan", Plan(profile, tuple(shipped), ()).to_json())
    for change in changes:
        journal.append("parameter", change)
    for phase in Phase:
        if any(case.phase is phase for case in cases.values()):
            journal.append("phase-begin", {"phase": phase.value})
    watch = HostWatch(folder, _id(job))
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
    # A test that was killed could not put back what it had changed; the job that ran it does.
    watched.guarded(lambda: watched.failures.extend(around.put_back()), "Putting the node back")
    for failure in watched.failures:
        journal.append("problem", {"message": failure, "where": "hook"})
    interrupted = watched.job.interrupted_reason is not None
    journal.append("campaign-end", {"status": "interrupted" if interrupted else "finished"})
    with contextlib.suppress(OSError):
        note_ended(_id(watched.job))
