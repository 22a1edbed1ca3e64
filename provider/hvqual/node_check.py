# SPDX-License-Identifier: GPL-2.0-or-later
"""
What `avocado hvqual node check` says of this node, as observations of a case.

The cases of node preparation ask as an operator would, through the command and its JSON, so that a campaign records the same answers
that were seen when the node was prepared.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from avocado.core.exceptions import TestCancel, TestError, TestFail

from provider.hvqual.record import Record

MET, UNMET, UNKNOWN, NOT_APPLICABLE = "met", "unmet", "unknown", "not applicable"
RENEWED = ": process after a "
"""What the fact is called with which a check tells that it renewed a daemon."""
ANSWERED = (0, 70, 71)
"""The exit statuses with which the command has answered: as expected, a defect, something not seen."""


def ask(checks: Sequence[str], description: str, timeout: float, luns: Sequence[str] = ()) -> dict[str, Any]:
    """
    Return what `node check --deep` says to *checks*, held against the *description* (a file or a shipped name; empty: the shipped default).

    *timeout* in seconds; *luns* are WWIDs of LUNs beside those of the description. TestError with the command's own words when it does
    not answer, or not to each of *checks*.
    """
    rest = ["--expect", description] if description else []
    rest += [word for lun in luns for word in ("--lun", lun)]
    return told_by(("node", "check", "--deep", "--yes"), checks, rest, timeout)


def told_by(verb: Sequence[str], checks: Sequence[str], rest: Sequence[str], timeout: float) -> dict[str, Any]:
    """Return what `avocado hvqual VERB --json --only CHECKS REST` says; TestError as `ask` has it."""
    command = [sys.executable, "-m", "avocado", "hvqual", *verb, "--json", "--only", ",".join(checks), *rest]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=timeout, check=False)
    except subprocess.TimeoutExpired as error:
        message = f"'{' '.join(command)}' did not end within {timeout:g} s."
        raise TestError(message) from error
    if done.returncode not in ANSWERED:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        message = f"'{' '.join(command)}' ended with {done.returncode}: {said[-1] if said else 'it said nothing'}"
        raise TestError(message)
    return _whole(done.stdout, checks, f"avocado hvqual {' '.join(verb[:2])}")


def _whole(text: str, checks: Sequence[str], who: str) -> dict[str, Any]:
    """Return the JSON object of *text*; TestError when it is none, or when one of *checks* is missing in it."""
    try:
        found: dict[str, Any] = json.loads(text)
        named = {check["name"] for check in found["checks"]}
    except (ValueError, KeyError, TypeError) as error:
        message = f"'{who} --json' wrote something else than its JSON: {error!r}"
        raise TestError(message) from error
    if missing := sorted(set(checks) - named):
        message = f"'{who}' said nothing to: {', '.join(missing)}."
        raise TestError(message)
    return found


def renewed(found: Mapping[str, Any]) -> dict[int, int]:
    """Return which process took the place of which, of the daemons that the checks restarted or killed."""
    told = [str(fact["value"]) for check in found["checks"] for fact in check["facts"] if RENEWED in fact["name"]]
    return {int(pair[1]): int(pair[2]) for value in told if (pair := re.fullmatch(r"(\d+) -> (\d+)", value))}


def observe(found: Mapping[str, Any], record: Record, who: str = "node check") -> None:
    """
    Record what each check saw, and end the case as the answers demand; *who* is the command that said it.

    Observed of each check that has answered: check_met (bool), facts_seen and defects (counts). TestFail with every defect; TestError
    when something could not be seen; TestCancel when the node need not, or cannot, answer a check: then a half of the use case is missing.
    """
    record.evidence(f"{who.replace(' ', '-')}.json", json.dumps(found, indent=1), f"what 'avocado hvqual {who}' said")
    for check in found["checks"]:
        if check["answer"] in (MET, UNMET):
            record.observe("check_met", check["answer"] == MET, "bool")
            record.observe("facts_seen", len(check["facts"]), "count")
            record.observe("defects", len(check["defects"]), "count")
        for lacking in check["not_required"]:
            record.capability(lacking["capability"], f"{lacking['subject']}: found {lacking['found']}", ok=False)
    _end(found["checks"], record)


def _end(checks: Sequence[Mapping[str, Any]], record: Record) -> None:
    wrong = [_told(defect) for check in checks if check["answer"] == UNMET for defect in check["defects"]]
    for sentence in wrong:
        record.problem("wrong-result", sentence)
    if wrong:
        raise TestFail("; ".join(wrong))
    unseen = [f"{check['name']}: {check['reason']}" for check in checks if check["answer"] not in (MET, NOT_APPLICABLE)]
    if unseen:
        raise TestError("; ".join(unseen))
    missing = [check for check in checks if check["answer"] == NOT_APPLICABLE]
    for check in missing:
        if not check["not_required"]:
            record.capability(check["name"], check["reason"], ok=False)
    if missing:
        reasons = "; ".join(f"{check['name']}: {check['reason']}" for check in missing)
        message = f"This node cannot show all of it, or need not ({reasons})."
        raise TestCancel(message)


def _told(defect: Mapping[str, Any]) -> str:
    """Return one defect as a sentence's part."""
    return f"{defect['subject']}: found {defect['found']}, expected {defect['expected']}"
