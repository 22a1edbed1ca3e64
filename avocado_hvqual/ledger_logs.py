# SPDX-License-Identifier: GPL-2.0-or-later
"""
The log signatures of a ledger, looked up in a campaign's own evidence: `looked_up(ledger, campaign, folder) -> Ledger`.

What a test kept is searched when it is what the test wrote down (SHA-256), the copy of the kernel log as far as the journal vouches
for it. Anything else counts as not found and is told. So the judge stays pure: it only asks whether a finding's own evidence is among
the places where an entry's expression was found.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from avocado_hvqual import log_search
from avocado_hvqual.errors import DefinitionError
from avocado_hvqual.ledger import Entry, Ledger
from avocado_hvqual.model.record import CampaignRecord

SECONDS = 60
"""CPU seconds for all searches of one ledger: an ordinary ledger needs less than one."""


def looked_up(ledger: Ledger, campaign: CampaignRecord, folder: Path, seconds: int = SECONDS) -> Ledger:
    """
    Return the ledger with the places at which each entry's log expression was found, and notes on what could not be searched.

    DefinitionError names the entry whose expression did not come to an end: a verdict must not depend on how fast a machine is.
    """
    wanted = {entry.id: entry for entry in ledger.entries if entry.log}
    files, outside = _files(campaign, folder) if wanted else ([], {})
    if not files and not outside:
        return ledger
    searches = {name: entry.log for name, entry in wanted.items()}
    answer = _asked({"files": files, "searches": searches, "seconds": seconds}, wanted)
    unread = {**outside, **answer["unread"]}
    notes = tuple(f"'{path}' was not searched for the ledger's log expressions: {why}." for path, why in unread.items())
    entries = tuple(
        replace(entry, found=frozenset(answer["found"].get(entry.id, ()))) if entry.log else entry
        for entry in ledger.entries
    )
    return Ledger(entries, (*ledger.notes, *notes))


def _asked(question: dict[str, Any], wanted: dict[str, Entry]) -> dict[str, Any]:
    command = [sys.executable, "-I", log_search.__file__]
    done = subprocess.run(command, input=json.dumps(question), capture_output=True, text=True, check=False)
    answer: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {"slow": {}}
    if "slow" not in answer:
        return answer
    entry = wanted.get(answer["slow"].get("id", ""), next(iter(wanted.values())))
    path = answer["slow"].get("path", "the evidence")
    said = f"the log expression of '{entry.id}' did not come to an end over '{path}' in {question['seconds']} s"
    message = f"{entry.where}: {said}. Make it simpler: fewer '*' and '+', or a text that must be in the line."
    raise DefinitionError(message)


def _files(campaign: CampaignRecord, folder: Path) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Return the files to search, and those that do not lie within the campaign's folder with the reason."""
    root = folder.resolve()
    files: dict[str, dict[str, Any]] = {}
    outside = {}
    for path, sha256, size in _vouched(campaign):
        absolute = (root / path).resolve()
        if not absolute.is_relative_to(root):
            outside[path] = "it lies outside the campaign's folder"
            continue
        files[path] = {
            "path": path,
            "absolute": str(absolute),
            "sha256": sha256,
            "size": size,
            "sections": size is not None,
        }
    return list(files.values()), outside


def _vouched(campaign: CampaignRecord) -> Iterator[tuple[str, str, Any]]:
    """Yield (path, SHA-256, size or None for the whole file) of each file that somebody vouches for."""
    for attempt in campaign.attempts:
        for evidence in attempt.trace.evidence if attempt.trace else ():
            yield evidence.path, evidence.sha256, None
    for vouched in campaign.vouched:
        yield vouched.path, vouched.sha256, vouched.size
