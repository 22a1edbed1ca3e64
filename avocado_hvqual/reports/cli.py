# SPDX-License-Identifier: GPL-2.0-or-later
"""
`avocado hvqual verdict | report | explain`: judge a campaign's folder again, write its reports, say what a word means.

`verdict DIR --require QUALIFIED --node ID --max-age 14d` is the gate for automation: 0 only when all of it holds, else 50.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import re
import sys
import time
from pathlib import Path
from typing import IO, Any

from avocado_hvqual import exit_codes, load, reports
from avocado_hvqual.errors import DefinitionError
from avocado_hvqual.folder_judging import judge_folder
from avocado_hvqual.model.qualification import Qualification
from avocado_hvqual.reports import explain, plain, verdict_json, words

_AGE = re.compile(r"([0-9]{1,6})([smhd])\Z")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
CLOCK_SKEW = 3600
"""A campaign may seem to end in the future by so many seconds: clocks of node and desk differ; by more, its age is not known."""


def add_parser(subparsers: Any) -> None:
    """Add the three verbs."""
    verdict = subparsers.add_parser("verdict", help="judge a campaign's results; the exit status is the verdict")
    _judging(verdict)
    verdict.add_argument("--explain", action="store_true", help="show every answer with its rule, numbers and files")
    verdict.add_argument("--json", action="store_true", help="print verdict.json instead of text")
    verdict.add_argument(
        "--accept",
        action="append",
        metavar="VERDICT",
        help="exit with 0 for these verdicts (default: QUALIFIED alone)",
    )
    verdict.add_argument("--require", action="append", metavar="VERDICT", help="exit with 50 unless it is one of these")
    verdict.add_argument("--node", metavar="ID", help="exit with 50 unless the campaign was on this node")
    verdict.add_argument(
        "--max-age", type=_age, metavar="AGE", help="exit with 50 when it ended longer ago: 14d, 12h, 30m"
    )
    report = subparsers.add_parser("report", help="write the reports of a campaign")
    _judging(report)
    report.add_argument("--output", type=Path, metavar="FOLDER", help="where to (default: the campaign's own folder)")
    words_parser = subparsers.add_parser("explain", help="what a use case, a finding, a severity or a verdict means")
    words_parser.add_argument(
        "word", help="for instance host-lockup, QUALIFIED_WITH_MINOR, hvqual.cloud.sla.start_time"
    )


def _judging(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DIR", help="the campaign's folder, or a job's result folder")
    add_judging(parser)


def add_judging(parser: argparse.ArgumentParser) -> None:
    """Add what a folder is judged by."""
    parser.add_argument("--policy", type=Path, metavar="FILE", help="judge by this policy (default: the shipped one)")
    parser.add_argument(
        "--ledger", type=Path, metavar="FILE", help="the operator's known issues and waivers (issues.yaml)"
    )
    parser.add_argument("--today", type=_day, metavar="DATE", help="judge as of this day (default: today, UTC)")


def _age(text: str) -> int:
    found = _AGE.match(text)
    if not found:
        message = f"'{text}' is no age; 14d, 12h, 30m and 45s are"
        raise argparse.ArgumentTypeError(message)
    return int(found.group(1)) * _SECONDS[found.group(2)]


def _day(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        message = f"'{text}' is not a day as 2027-01-31"
        raise argparse.ArgumentTypeError(message) from None


def run(args: argparse.Namespace) -> int:
    """Run the verb and return the exit status."""
    if args.verb == "explain":
        sys.stdout.write(explain.explain(args.word, load.load_policy()))
        return exit_codes.ACCEPTED
    qualification = judge_folder(args.folder, args.policy, args.ledger, args.today)
    if args.verb == "report":
        target = args.output or args.folder
        written = reports.write(qualification, target)
        sys.stdout.write("".join(f"{path}\n" for path in written))
        return exit_codes.ACCEPTED
    if args.json:
        sys.stdout.write(verdict_json.render(qualification))
    else:
        tell(qualification, sys.stdout, explain=args.explain)
    return _status(args, qualification)


def _status(args: argparse.Namespace, qualification: Qualification) -> int:
    """Return the exit status; with any of --require, --node and --max-age all that are given have to hold."""
    asked = args.require is not None or args.node is not None or args.max_age is not None
    if not asked:
        return exit_codes.status(qualification, args.accept or ["QUALIFIED"])
    if args.accept is not None:
        message = "--accept and --require, --node, --max-age are two different questions; ask one of them."
        raise DefinitionError(message)
    refused = _refusals(args, qualification)
    sys.stderr.write("".join(f"Refused: {words.safe(sentence)}\n" for sentence in refused))
    return exit_codes.REQUIREMENT if refused else exit_codes.ACCEPTED


def _refusals(args: argparse.Namespace, qualification: Qualification) -> list[str]:
    wanted = args.require or ["QUALIFIED"]
    refused = []
    if exit_codes.status(qualification, wanted) != exit_codes.ACCEPTED:
        refused.append(f"the verdict is {qualification.verdict.value}, and {', '.join(wanted)} is required.")
    node = str(qualification.header.node.get("id", ""))
    if args.node is not None and node != args.node:
        refused.append(f"the campaign was on the node '{node}', not on '{args.node}'.")
    age = time.time() - qualification.ended_wall
    if args.max_age is not None and not -CLOCK_SKEW <= age <= args.max_age:
        refused.append(
            f"the campaign ended {words.moment(qualification.ended_wall)}, which is not within the last {args.max_age} s."
        )
    return refused


def tell(qualification: Qualification, out: IO[str], *, explain: bool = False) -> None:
    """Write the verdict to *out*: in colour to a terminal, as plain lines elsewhere."""
    said = plain.lines(qualification, explain=explain)
    if not out.isatty() or os.environ.get("NO_COLOR"):
        # A log's encoding may lack a letter of a guest's name; the verdict is told nevertheless.
        encoding = getattr(out, "encoding", None) or "utf-8"
        for line in said:
            out.write(line.text.encode(encoding, "replace").decode(encoding) + "\n")
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(file=out, highlight=False, soft_wrap=True)
    for line in said:
        console.print(Text(line.text, style=words.STYLES[line.tone]))
