# SPDX-License-Identifier: GPL-2.0-or-later
"""`node check`: what this node is, held against what it shall be."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from avocado_hvqual.campaign.folder import host_id
from avocado_hvqual.errors import PlanError
from avocado_hvqual.preparation import asking, expectations, registry, report, running
from avocado_hvqual.preparation.model import Check
from avocado_hvqual.preparation.node import ThisNode

ABOUT = """\
Ask this node everything that section 6.1 of the requirement asks: virtualisation, kernel, packages, QEMU and libvirt, hotplug, the
non-root user, networks, storage, daemons, kdump, time. Without --deep nothing is touched and no guest is booted but a tiny one of
the accelerator probe; it takes less than ten seconds. For each defect: what was found, what is expected, why it matters, and the
remedy, which `node prepare` applies.
"""
EXAMPLES = """\
examples:
  avocado hvqual node check                          everything that can be asked without touching the node
  avocado hvqual node check --expect mine.yaml       against your own description of a node
  avocado hvqual node check --only kernel,packages   a part
  avocado hvqual node check --deep --yes --json      everything, for a program
"""


def fill(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "check",
        help="what is wrong with this node, and what mends it; touches nothing",
        description=ABOUT,
        epilog=EXAMPLES + "\n" + asking.EXIT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    asking.add_expect(parser)
    asking.add_only(parser)
    parser.add_argument(
        "--deep", action="store_true", help="also what touches the node for a moment; it is listed, and you are asked"
    )
    parser.add_argument(
        "--lun",
        action="append",
        default=[],
        metavar="WWID",
        help="a LUN beside those of the description, which must be in order too, as loop:/path/of/the/file (given once or more)",
    )
    parser.add_argument("--yes", action="store_true", help="agree to what --deep touches")
    parser.add_argument("--json", action="store_true", help="write one JSON object (schemas/node-check.schema.json)")
    parser.add_argument("--list", action="store_true", help="list the checks and what each is for, and ask nothing")
    parser.set_defaults(node_run=run)


def run(args: argparse.Namespace) -> int:
    """Check the node and return the exit status."""
    checks, left_out = registry.chosen(asking.only(args), deep=args.deep)
    if args.list:
        for check in (*checks, *left_out):
            asking.say(f"{check.name}{' (--deep)' if check.touches else ''}: {check.why}")
        return 0
    expectation = expectations.with_luns(expectations.load(args.expect), args.lun)
    if not _may_touch(args, checks):
        checks, left_out = registry.chosen(asking.only(args))
    node, began = ThisNode(expectation), time.monotonic()
    results = running.ask_all(node, checks)
    found = report.Report(host_id(), node, expectation.source, results, left_out, time.monotonic() - began)
    if args.json:
        sys.stdout.write(json.dumps(report.as_json(found), indent=1, allow_nan=False) + "\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in report.lines(found))
    return found.status


def _may_touch(args: argparse.Namespace, checks: Sequence[Check]) -> bool:
    """Tell what the checks will touch, and return whether the user agrees; on stdout only JSON may stand, if that is asked for."""
    touching = [f"{check.name}: {sentence}" for check in checks for sentence in check.touches]
    if not touching:
        return True
    asking.demand_root("node check --deep")
    if args.json and not args.yes:
        message = "--json leaves nobody to ask; say --yes to agree to what --deep touches."
        raise PlanError(message)
    say = partial(asking.say, quiet=args.json)
    for line in touching:
        say(line)
    return asking.agreed("That is touched for a moment, and put back.", yes=args.yes, say=say)
