# SPDX-License-Identifier: GPL-2.0-or-later
"""The cases of a campaign that are to be tried again, as the words of the command line choose them."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Iterator
from typing import Any

from avocado_hvqual.campaign import options
from avocado_hvqual.errors import PlanError
from avocado_hvqual.model.finding import NOT_ATTEMPTED, FindingKind
from avocado_hvqual.plan import matches

KINDS = ("open", "failed", "stale")
NOT_MENDED_BY_A_TRY = frozenset(
    {
        FindingKind.STALE_RESULT,
        FindingKind.NOT_RUN,
        FindingKind.MISSING_CASE,
        FindingKind.WEAK_LIMIT,
        FindingKind.SMALL_SCALE,
    }
)
"""What --open leaves out: stale results have a word of their own, and the others another remedy."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the words that choose; several choose more."""
    parser.add_argument("--open", action="store_true", help="the cases with open findings, of whatever kind")
    parser.add_argument(
        "--failed", action="store_true", help="the cases that showed something wrong which is still open"
    )
    parser.add_argument("--stale", action="store_true", help="the cases that were last tried on another build")
    parser.add_argument("--case", action="append", default=[], metavar="CATEGORY|ID|KEY,...", help="these cases")


def words(args: argparse.Namespace) -> list[str]:
    """Return the same words for the command line of another process."""
    found = [f"--{kind}" for kind in KINDS if getattr(args, kind)]
    return found + [word for value in args.case for word in ("--case", value)]


def demand_one(args: argparse.Namespace) -> None:
    """Return when the arguments choose anything; PlanError otherwise."""
    if not words(args):
        message = "rerun has to be told which cases: --failed, --open, --stale or --case ID."
        raise PlanError(message)


def cases(args: argparse.Namespace, past: Any, asked: options.Asked) -> frozenset[str]:
    """
    Return the keys of the cases that are chosen; PlanError when there is none, or when one is of a phase that was never begun.

    What is open is the judge's word, with the ledger and the policy that were given.
    """
    from avocado_hvqual.campaign import outcome

    qualification = outcome.judge(past.folder.path, asked.ledger, asked.policy)
    known = {str(case.key): case for case in past.record.planned}
    found = {key for key in _by_findings(args, qualification) if key in known}
    found |= {key for word in _words(args) for key in _named(past, word)}
    if not found:
        message = f"Nothing of '{past.folder.path}' is to be tried again: no case is {_asked(args)}."
        raise PlanError(message)
    early = sorted(key for key in found if known[key].phase not in past.entered)
    if early:
        message = (
            f"The campaign never came to the phase {known[early[0]].phase.value} of '{early[0]}'; "
            f"run what is missing with: avocado hvqual resume {past.folder.path}"
        )
        raise PlanError(message)
    return frozenset(found)


def _words(args: argparse.Namespace) -> list[str]:
    return [word for text in args.case for word in text.replace(",", " ").split()]


def _asked(args: argparse.Namespace) -> str:
    return " or ".join(kind for kind in KINDS if getattr(args, kind)) or "so named"


def _by_findings(args: argparse.Namespace, qualification: Any) -> Iterator[str]:
    for finding in qualification.findings:
        wanted = args.open and finding.kind not in NOT_MENDED_BY_A_TRY
        wanted = wanted or (args.failed and finding.kind not in NOT_ATTEMPTED)
        if finding.is_open and wanted:
            yield finding.case
    if args.stale:
        yield from (result.case for result in qualification.results if result.stale)


def _named(past: Any, word: str) -> list[str]:
    planned = past.record.planned
    found = [str(case.key) for case in planned if matches(case, word)]
    if not found:
        near = difflib.get_close_matches(word, sorted({case.key.hv_id for case in planned}), n=3, cutoff=0.5)
        hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
        message = f"--case names '{word}', but the campaign's plan has no such category or case.{hint}"
        raise PlanError(message)
    return found
