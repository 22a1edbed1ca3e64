# SPDX-License-Identifier: GPL-2.0-or-later
"""`avocado hvqual bugs draft | file`: reports of what a campaign found, to read or to send to a Bugzilla."""

from __future__ import annotations

import argparse
import dataclasses
import datetime as dt
import math
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from avocado_hvqual import exit_codes
from avocado_hvqual.errors import DefinitionError, HvqualError, TrackerError
from avocado_hvqual.folder_judging import judge_folder
from avocado_hvqual.model.fingerprint import PATTERN
from avocado_hvqual.model.qualification import Qualification
from avocado_hvqual.trackers import key as api_key
from avocado_hvqual.trackers import sums
from avocado_hvqual.trackers.draft import Draft, drafts
from avocado_hvqual.trackers.filing import SETTLE, Act, Filer
from avocado_hvqual.trackers.notes import Notes, default_folder
from avocado_hvqual.trackers.server import Bugzilla, RefusedError, UnknownError, UnreachableError
from avocado_hvqual.trackers.settings import load_settings
from avocado_hvqual.wording import counted

TIMEOUT = 60.0
TROUBLES = 3
"""After so many refusals in a row the others are not tried."""
_WOULD = {
    Act.FILE: "would be filed",
    Act.COMMENT: "would be told of this campaign",
    Act.NOTHING: "nothing to do",
    Act.WAIT: "not yet",
}


def add_parser(subparsers: Any) -> None:
    """Add the verb with its two commands."""
    bugs = subparsers.add_parser("bugs", help="reports of what was found, for a bug tracker")
    commands = bugs.add_subparsers(dest="command", required=True, metavar="draft | file")
    draft = commands.add_parser(
        "draft", help="write a report for each fingerprint, ready for a Bugzilla", allow_abbrev=False
    )
    _common(draft)
    draft.add_argument("--output", type=Path, metavar="FOLDER", help="write FINGERPRINT.txt there instead of printing")
    file = commands.add_parser("file", help="send the reports to a Bugzilla, each fingerprint once", allow_abbrev=False)
    _common(file)
    file.add_argument("--url", required=True, help="the Bugzilla, as https://bugs.example.org")
    file.add_argument(
        "--api-key-file",
        type=Path,
        metavar="FILE",
        help=f"of mode 0600 (default: the environment's {api_key.VARIABLE})",
    )
    file.add_argument("--api-key", action=_NeverAnArgument, help=argparse.SUPPRESS)
    file.add_argument("--notes", type=Path, metavar="FOLDER", help="where this desk notes what it has sent")
    file.add_argument(
        "--timeout", type=_some_seconds, default=TIMEOUT, metavar="S", help="wait so long for an answer (60)"
    )
    file.add_argument(
        "--settle",
        type=_seconds,
        default=SETTLE,
        metavar="S",
        help="after no answer, send again only so much later (900)",
    )
    file.add_argument("--dry-run", action="store_true", help="ask the server and say what would be done; send nothing")


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DIR", help="the campaign's folder, or a job's result folder")
    parser.add_argument(
        "--fingerprint", action="append", type=_fingerprint, default=[], help="only this one; may be repeated"
    )
    parser.add_argument("--product", help="the tracker's product (default: that of --tracker)")
    parser.add_argument(
        "--tracker", type=Path, metavar="FILE", help="product, components, severities of the tracker (bugs.yaml)"
    )
    parser.add_argument("--policy", type=Path, metavar="FILE", help="judge by this policy (default: the shipped one)")
    parser.add_argument("--ledger", type=Path, metavar="FILE", help="the operator's known issues (issues.yaml)")
    parser.add_argument("--today", type=_day, metavar="DATE", help="judge as of this day (default: today, UTC)")


class _NeverAnArgument(argparse.Action):
    """Refuses what stands on the command line, for everybody reads it there, and does not repeat it."""

    def __call__(self, parser: argparse.ArgumentParser, *_values: object) -> None:
        parser.error(
            f"an API key is no argument: all can read it there. Set {api_key.VARIABLE} or give --api-key-file, and revoke this key"
        )


def _day(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        message = f"'{text}' is not a day as 2027-01-31"
        raise argparse.ArgumentTypeError(message) from None


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not math.isfinite(value) or value < 0:
        message = f"'{text}' is no number of seconds"
        raise argparse.ArgumentTypeError(message)
    return value


def _some_seconds(text: str) -> float:
    value = _seconds(text)
    if not value:
        message = "an answer needs more than 0 seconds"
        raise argparse.ArgumentTypeError(message)
    return value


def _fingerprint(text: str) -> str:
    if not PATTERN.match(text):
        message = f"'{text}' is no fingerprint; 'hv1-' and 12 hexadecimal digits are one"
        raise argparse.ArgumentTypeError(message)
    return text


def run(args: argparse.Namespace) -> int:
    """Run the command and return the exit status."""
    return _draft(args) if args.command == "draft" else _file(args)


def _drafts(args: argparse.Namespace) -> list[Draft]:
    settings = load_settings(args.tracker)
    qualification = judge_folder(args.folder, args.policy, args.ledger, args.today)
    recorded = _recorded(qualification)
    if args.product:
        settings = dataclasses.replace(settings, product=args.product)
    return drafts(qualification, settings, lambda path: sums.told(args.folder, path, recorded), args.fingerprint)


def _recorded(qualification: Qualification) -> dict[str, str]:
    """Return the sums that the tests wrote down beside their evidence."""
    traces = (trace for result in qualification.results for trace in result.traces)
    return {evidence.path: evidence.sha256 for trace in traces for evidence in trace.evidence}


def _draft(args: argparse.Namespace) -> int:
    made = _drafts(args)
    if not made:
        _say("There is nothing to report: no finding is open that was seen to be wrong.")
    elif args.output is None:
        _say(f"\n{'=' * 72}\n".join(draft.render() for draft in made).rstrip("\n"))
    else:
        for draft in made:
            _say(str(_written(args.output, draft)))
    return exit_codes.ACCEPTED


def _written(folder: Path, draft: Draft) -> Path:
    path = folder / f"{draft.fingerprint}.txt"
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        partial.write_text(draft.render(), encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        message = f"The draft '{path}' cannot be written: {error.strerror}. Give another folder with --output."
        raise HvqualError(message) from error
    return path


def _file(args: argparse.Namespace) -> int:
    settings = load_settings(args.tracker)
    if not (args.product or settings.product):
        message = "A report needs a product: give --product, or 'product' in the file of --tracker."
        raise DefinitionError(message)
    key = api_key.read(args.api_key_file)
    if key is None and not args.dry_run:
        message = f"There is no API key: give it in the environment as {api_key.VARIABLE}, or in a file of mode 0600 by --api-key-file."
        raise TrackerError(message)
    server = Bugzilla(args.url, key, settings, args.timeout)
    made = _drafts(args)
    filer = Filer(server, Notes(args.notes or default_folder(), server.url), time.time, args.settle)
    try:
        server.connect()
    except (RefusedError, UnknownError) as error:
        _complain(f"{error} Nothing was sent.")
        return exit_codes.TRACKER
    return _each(made, filer, dry=args.dry_run)


def _each(made: Sequence[Draft], filer: Filer, *, dry: bool) -> int:
    """File each draft; what one is refused for does not keep the next one back, what would befall all does."""
    statuses, in_a_row = {exit_codes.ACCEPTED}, 0
    for number, draft in enumerate(made):
        try:
            statuses.add(_one(draft, filer, dry=dry))
            in_a_row = 0
        except UnknownError as error:
            _complain(
                f"{draft.fingerprint}: {error} Nobody knows whether it arrived; the next run asks before it sends again."
            )
            statuses.add(exit_codes.TRACKER_UNKNOWN)
            in_a_row += 1
        except RefusedError as error:
            _complain(f"{draft.fingerprint}: {error}")
            statuses.add(exit_codes.TRACKER)
            in_a_row = TROUBLES if isinstance(error, UnreachableError) else in_a_row + 1
        rest = len(made) - number - 1
        if in_a_row >= TROUBLES and rest:
            _complain(f"{counted(rest, 'report')} more not tried.")
            break
    if not made:
        _say("There is nothing to report: no finding is open that was seen to be wrong.")
    return max(statuses)


def _one(draft: Draft, filer: Filer, *, dry: bool) -> int:
    if draft.known:
        _say(f"{draft.fingerprint}: is known in the ledger as {draft.known}; not filed")
        return exit_codes.ACCEPTED
    if dry:
        decision = filer.decide(draft, filer.notes.read(draft.fingerprint))
        _say(f"{draft.fingerprint}: {_WOULD[decision.act]}; {decision.sentence}")
    else:
        with filer.notes.hold(draft.fingerprint) as note:
            decision = filer.carry_out(draft, note)
        _say(f"{draft.fingerprint}: {decision.sentence}")
    return exit_codes.TRACKER_UNKNOWN if decision.act is Act.WAIT else exit_codes.ACCEPTED


def _say(text: str) -> None:
    """Write lines at once, so that what was done is told whatever comes next; a terminal's encoding may lack a letter."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding) + "\n")
    sys.stdout.flush()


def _complain(text: str) -> None:
    sys.stderr.write(f"{text}\n")
