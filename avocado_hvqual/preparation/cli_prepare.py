# SPDX-License-Identifier: GPL-2.0-or-later
"""`node prepare` and `node restore`: mend a node, and take that back."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from itertools import groupby
from typing import Any

from avocado_hvqual import exit_codes
from avocado_hvqual import node as node_state
from avocado_hvqual.campaign.folder import home, host_id
from avocado_hvqual.errors import PlanError
from avocado_hvqual.preparation import asking, expectations, registry, report, restore, running
from avocado_hvqual.preparation import prepare as mending
from avocado_hvqual.preparation.journal import Journal
from avocado_hvqual.preparation.model import Answer, Check, Defect, Remedy
from avocado_hvqual.preparation.node import ThisNode
from avocado_hvqual.preparation.prepare import Outcome
from avocado_hvqual.preparation.running import Result

Say = Callable[[str], None]
Step = tuple[Check, Defect, Remedy]

SHOWN = 5
"""Differences of one kind that a terminal gets to see; a program gets all."""

PREPARE = """\
Apply the remedies of what `node check` finds, each only where its defect is. Every step is written down before it is done, so that
`node restore` can take it back, also after a crash or a reboot; what cannot be taken back (a package, a kernel) is said before and
listed after. What is as expected is left alone, so a second `prepare` changes nothing. After each step the node is looked at again:
a step that did not help is told as failed.
"""
RESTORE = """\
Take back what `node prepare` did on this node, newest first, and compare the node with what it was before. What cannot be taken back
is listed; what somebody changed since is left as it is, and told.
"""
KEPT = (
    "The record of the node as it was is kept. What the kernel holds (packet filter, modules, their settings) goes with a reboot: "
    "ask 'node restore' again after it. 'node restore --forget' drops the record."
)
PREPARE_EXAMPLES = """\
examples:
  avocado hvqual node prepare --dry-run      the exact commands and files, and nothing is done
  avocado hvqual node prepare                show them, ask, do them
  avocado hvqual node prepare --yes --only network,packages
"""
RESTORE_EXIT = """\
exit status:
  0   the node is what it was before `node prepare`, or nothing was ever prepared
  2   wrong usage, or the journal of the preparation cannot be read
  72  something differs from what it was; it is listed
"""


def fill(verbs: Any) -> None:
    """Add the two verbs."""
    parser = _parser(verbs, "prepare", "mend what can be mended", PREPARE, PREPARE_EXAMPLES + "\n" + asking.EXIT)
    asking.add_expect(parser)
    asking.add_only(parser)
    parser.add_argument("--dry-run", action="store_true", help="show what would be done, and do nothing")
    parser.add_argument("--yes", action="store_true", help="agree to what is shown")
    parser.add_argument("--json", action="store_true", help="write one JSON object; what is being done goes to stderr")
    parser.set_defaults(node_run=run_prepare)
    parser = _parser(verbs, "restore", "take back what `prepare` did", RESTORE, RESTORE_EXIT)
    parser.add_argument("--json", action="store_true", help="write one JSON object; what is being done goes to stderr")
    parser.add_argument(
        "--forget", action="store_true", help="drop the record of the node as it was, even if something differs"
    )
    parser.set_defaults(node_run=run_restore)


def _parser(verbs: Any, name: str, help_: str, about: str, end: str) -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser: argparse.ArgumentParser = verbs.add_parser(
        name, help=help_, description=about, epilog=end, formatter_class=raw
    )
    return parser


def run_prepare(args: argparse.Namespace) -> int:
    """Mend the node and return the exit status of what is left."""
    checks, _left_out = registry.chosen(asking.only(args))
    expectation = expectations.load(args.expect)
    if not args.dry_run:
        asking.demand_root("node prepare")
        if args.json and not args.yes:
            message = "--json leaves nobody to ask; say --yes as well, or --dry-run to see what would be done."
            raise PlanError(message)
    say: Say = partial(asking.say, quiet=args.json)
    node = ThisNode(expectation)
    before = running.ask_all(node, checks)
    plan = list(mending.steps(before))
    if args.dry_run or not plan:
        return _told(args, plan, [], before, say)
    if not _agreed(args, plan, say):
        return _told(args, [], [], before, say)
    journal = Journal(home(), host_id())
    with journal.held():
        journal.keep_before(node_state.capture(node.expected["libvirt"]["uri"]).whole)
        outcomes, after = mending.prepare(node, checks, journal, say)
    return _told(args, plan, outcomes, after, say)


def _agreed(args: argparse.Namespace, plan: Sequence[Step], say: Say) -> bool:
    for line in _plan(plan):
        say(line)
    return asking.agreed("That will be done; what it brings to light is mended too.", yes=args.yes, say=say)


def _plan(plan: Sequence[Step]) -> Iterator[str]:
    for check, defect, remedy in plan:
        yield f"{check.name}: {defect.subject}: {remedy.summary}"
        yield from (f"    {line}" for line in report.remedy_lines(remedy))


def _told(
    args: argparse.Namespace, plan: Sequence[Step], outcomes: Sequence[Outcome], after: Sequence[Result], say: Say
) -> int:
    """Say what was or would be done and what is left, and return the exit status."""
    status = report.status(after)
    if args.json:
        sys.stdout.write(json.dumps(_as_json(args, plan, outcomes, after), indent=1, allow_nan=False) + "\n")
        return status
    if args.dry_run:
        for line in _plan(plan):
            say(line)
        say(f"{len(plan)} steps; nothing was done. A step may bring more to light, which is then mended too.")
        return status
    for line in (*_stays(outcomes), *_left(after)):
        say(line)
    say("This node is as expected." if status == exit_codes.ACCEPTED else "This node is not ready; see above.")
    return status


def _stays(outcomes: Sequence[Outcome]) -> Iterator[str]:
    for outcome in outcomes:
        if outcome.irreversible and outcome.status != "failed":
            yield f"stays after node restore: {outcome.subject}: {outcome.irreversible}"


def _left(after: Sequence[Result]) -> Iterator[str]:
    for result in after:
        for defect in result.looked.defects:
            yield f"left: {result.check.name}: {defect.subject}: found {defect.found}, expected {defect.expected}"
        if result.answer is Answer.UNKNOWN:
            yield f"unknown: {result.check.name}: {result.looked.reason}"


def _as_json(
    args: argparse.Namespace, plan: Sequence[Step], outcomes: Sequence[Outcome], after: Sequence[Result]
) -> dict[str, Any]:
    return {
        "format": report.FORMAT,
        "dry_run": args.dry_run,
        "steps": [
            {"check": check.name, "subject": defect.subject, "remedy": asdict(remedy)} for check, defect, remedy in plan
        ],
        "outcomes": [asdict(outcome) for outcome in outcomes],
        "checks": [report.result_json(result) for result in after],
        "status": report.status(after),
    }


def run_restore(args: argparse.Namespace) -> int:
    """Take back what was prepared and return the exit status."""
    asking.demand_root("node restore")
    say: Say = partial(asking.say, quiet=args.json)
    journal = Journal(home(), host_id())
    with journal.held():
        uri = next((str(entry.expected["libvirt"]["uri"]) for entry in journal.entries()), node_state.LIBVIRT_URI)
        done = restore.restore(journal, _node, say)
        kept = journal.before()
        differs = [] if kept is None else _differences(kept, uri)
        if args.forget or not (done.left or differs):
            journal.close()
    status = exit_codes.NODE_LEFT if done.left or differs else exit_codes.ACCEPTED
    if args.json:
        answer = {"format": report.FORMAT, **asdict(done), "differs": differs, "status": status}
        sys.stdout.write(json.dumps(answer, indent=1) + "\n")
        return status
    for title, found in (("taken back", done.did), ("not taken back", done.left), ("stays", done.stays)):
        for line in found:
            say(f"{title}: {line}")
    for line in differs if args.forget else shown(differs):
        say(f"differs from before node prepare: {line}")
    if differs and not args.forget:
        say(KEPT)
    nothing = "Nothing was ever prepared here." if kept is None and not done.did else ""
    say(nothing or ("This node is what it was before." if status == 0 else "This node is not what it was; see above."))
    return status


def shown(differs: Sequence[str]) -> Iterator[str]:
    """Yield what differs, the first few of a kind: libvirt's chains alone are a hundred lines, as nft and as iptables tell them."""
    for kind, lines in groupby(differs, key=lambda line: line.partition(":")[0]):
        every = list(lines)
        few = every if len(every) <= SHOWN + 1 else every[:SHOWN]
        yield from few
        if len(few) < len(every):
            yield f"{kind}: and {len(every) - len(few)} more ('node restore --json' lists all)"


def _node(sections: Mapping[str, Any]) -> ThisNode:
    return ThisNode(expectations.Expectation("the journal of node prepare", sections))


def _differences(kept: Mapping[str, Any], uri: str) -> list[str]:
    before = node_state.State(str(kept["digest"]), dict(kept))
    return [change for change in node_state.diff(before, node_state.capture(uri)) if not restore.of_the_boot(change)]
