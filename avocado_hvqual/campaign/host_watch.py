# SPDX-License-Identifier: GPL-2.0-or-later
"""The node's health from a campaign's start to its end: watched, attributed to cases, and written into the journal."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Optional

from avocado_hvqual import observations
from avocado_hvqual.campaign.folder import home, host_id
from avocado_hvqual.campaign.journal import Journal
from avocado_hvqual.errors import JournalError
from avocado_hvqual.health import copies, events, identity, patterns, restarts, watcher


def own_cgroups() -> tuple[str, ...]:
    """
    Return the cgroup paths of this node as the kernel log names them; empty where the whole machine is the node.

    In the lab both hosts and the machine share one kernel log; the host's own configuration says in which cgroups it lives.
    Where that cannot be read every line counts: better a finding too many than one too few.
    """
    if host_id() == "local":
        return ()
    try:
        text = (home() / "lab" / host_id() / "config.json").read_text(encoding="utf-8")
        config = json.loads(text)
        mounts = sorted((str(one["mount"]) for one in config["hierarchies"]), key=len, reverse=True)
        folders = [str(folder) for folder in config["cgroup_folders"]]
    except (OSError, ValueError, KeyError, TypeError):
        return ()
    paths = {folder[len(mount) :] for folder in folders for mount in mounts if folder.startswith(f"{mount}/")}
    return tuple(sorted(paths))


def owed_by(case: str, folder: Optional[Path]) -> Optional[events.Owed]:
    """Return the markers that a case owes by what it wrote itself; None when it never began."""
    if folder is None or not (folder / observations.FILE).exists():
        return None
    try:
        trace = observations.read(folder / observations.FILE)
    except JournalError:
        return events.Owed(case, end=False)
    return None if trace is None else events.Owed(case, end=trace.status is not None)


def by_case(
    health: events.Health, copy: str = copies.FIRST, booted: Optional[float] = None
) -> dict[Optional[str], list[dict[str, Any]]]:
    """
    Return what befell this node and when by the kernel's clock, as the journal holds it, by case (None: between cases).

    *booted* is when that clock was zero, in seconds since the epoch; by default that of the running kernel.
    """
    booted = time.time() - time.monotonic() if booted is None else booted
    found: dict[Optional[str], list[dict[str, Any]]] = {}
    for event in health.events:
        if not event.elsewhere:
            one = {"kind": event.kind, "message": event.message, "evidence": copy, "wall": booted + event.seconds}
            found.setdefault(event.case, []).append(one)
    return found


class HostWatch:
    """Watches kernel log, boot and libvirt daemon; ``finish`` writes what it saw, or why nobody can know, into the journal."""

    def __init__(self, folder: Path, campaign: str, copy: str = copies.FIRST) -> None:
        self._copy = copy
        self._watcher = watcher.Watcher(folder / copy, campaign)
        self._before: Optional[identity.Identity] = None
        self._reported = self._peeked = 0
        self._looked = 0
        self._restarting = False

    def start(self) -> None:
        """Begin to watch."""
        self._before = identity.now()
        self._watcher.start()

    def look(self, journal: Journal, case: Optional[str]) -> None:
        """Compare boot and libvirt daemon with the last look; a change befell the given case, unless the case announced it."""
        if self._before is None:
            return
        before, now = self._before, identity.now()
        changes = identity.changes(before, now)
        self._before = now
        if changes and not self._announced(case, before, now):
            found = [{"kind": kind, "message": message, "evidence": ""} for kind, message in changes]
            journal.append("health", {"case": case, "events": found})
        self._looked = len(self._watcher.records)

    def _announced(self, case: Optional[str], before: identity.Identity, now: identity.Identity) -> bool:
        """Return whether the case said in the kernel log that it would restart the libvirt daemon, once for each new one."""
        if before.boot_id != now.boot_id:
            return False
        self._watcher.sync()
        said = restarts.of_case(self._watcher.records[self._looked :], case) if case else []
        told = restarts.account(before, now, said, under_way=self._restarting)
        self._restarting = told.under_way
        return told.explained

    def fresh(self, cases: Iterable[str]) -> dict[Optional[str], list[dict[str, Any]]]:
        """
        Return what the kernel said since the last report, by case, as the journal will hold it; nothing when there is nothing new.

        For whoever must know before the phase ends: nothing is written, and `cases` are those that have begun.
        """
        records = list(self._watcher.records)
        new, self._peeked = records[max(self._peeked, self._reported) :], len(records)
        if not any(patterns.classify(record) for record in new):
            return {}
        owed = tuple(events.Owed(case, end=False) for case in cases)
        return by_case(events.read(records[self._reported :], owed, own_cgroups()), self._copy)

    def _vouch(self, journal: Journal) -> None:
        """Write down what the copy of the kernel log is until here: a ledger's log expressions are searched in that alone."""
        path = self._watcher.copy
        if path.is_file():
            data = path.read_bytes()
            found = {"path": path.name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            journal.append("evidence", found)

    def report(self, journal: Journal, cases: dict[str, Optional[Path]]) -> events.Health:
        """
        Write what befell the node since the last report into the journal; no case may run meanwhile.

        ``cases`` gives each case that was started since then its folder, in which the markers that it owes are known.
        """
        self.look(journal, None)
        self._watcher.sync()
        records = list(self._watcher.records)
        owed = tuple(filter(None, (owed_by(case, folder) for case, folder in cases.items())))
        health = events.read(records[self._reported :], owed, own_cgroups())
        self._reported = len(records)
        for case, found in by_case(health, self._copy).items():
            journal.append("health", {"case": case, "events": found})
        doubts = [*health.doubts, *self._watcher.doubts]
        state = "unknown" if doubts else "known"
        journal.append("health-state", {"case": None, "state": state, "reason": " ".join(dict.fromkeys(doubts))})
        return health

    def finish(self, journal: Journal, cases: dict[str, Optional[Path]]) -> None:
        """Report what is left and stop watching; the last line says whether the node's health is known at all."""
        self.report(journal, cases)
        self._watcher.stop()
        self._vouch(journal)
        doubts = self._watcher.doubts
        state = "unknown" if doubts else "known"
        journal.append("health-state", {"case": None, "state": state, "reason": " ".join(doubts)})
