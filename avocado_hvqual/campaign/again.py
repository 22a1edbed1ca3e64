# SPDX-License-Identifier: GPL-2.0-or-later
"""``avocado hvqual resume | rerun``: a campaign that goes on where it broke, or tries cases again after a fix."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from avocado_hvqual import exit_codes
from avocado_hvqual.campaign import chosen, folder, options, scratch, unit
from avocado_hvqual.campaign.progress import Progress, clock
from avocado_hvqual.errors import PlanError
from avocado_hvqual.wording import agreeing, share

REPEAT = 1
"""So many more times a case is tried that was running when the campaign broke."""


def add_parser(subparsers: Any) -> None:
    """Add the verbs resume and rerun to an argparse subparsers object."""
    resume = subparsers.add_parser("resume", help="go on with a campaign that broke off")
    resume.add_argument(
        "folder", nargs="?", type=Path, metavar="DIR", help="default: the one that is open on this host"
    )
    resume.add_argument(
        "--repeat-interrupted",
        type=_count,
        default=REPEAT,
        metavar="N",
        help="how often a case is tried again that was running when the campaign broke (default: once)",
    )
    resume.add_argument(
        "--print-unit", action="store_true", help="write the systemd unit that resumes at boot, and end"
    )
    rerun = subparsers.add_parser("rerun", help="try cases again, for instance on a patched build")
    rerun.add_argument("folder", type=Path, metavar="DIR", help="the campaign's folder")
    chosen.add(rerun)
    for parser in (resume, rerun):
        parser.add_argument("--lab", action="store_true", help="inside the lab's host hv-a, which is brought up first")
        parser.add_argument("--accept", action="append", metavar="VERDICT,...", help="verdicts that end with 0")
        options.add(parser)


def _count(text: str) -> int:
    if not text.isdigit():
        message = f"'{text}' is no number of times; 0, 1, 2 are"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Do what the arguments say and return the exit status; HvqualError carries the sentence for the user."""
    if args.verb == "resume" and args.print_unit:
        sys.stdout.write(unit.text())
        return exit_codes.ACCEPTED
    # Read now, so that what is wrong with them is told before the night and not after it.
    asked = options.read(args)
    asked.judged_by()
    accept = tuple(word for text in args.accept or () for word in text.replace(",", " ").split())
    if args.accept:
        exit_codes.parse_accept(accept)
    if args.verb == "rerun":
        chosen.demand_one(args)
    if os.geteuid() != 0:
        needs = "root (it reads the kernel log, puts nodes back, and uses libvirt's system connection)"
        message = f"A campaign needs {needs}, found user id {os.geteuid()}; run it with sudo."
        raise PlanError(message)
    if args.lab:
        return _enter_lab(args)
    path = args.folder or _open_one()
    if path is None:
        _say("No campaign of this host is open.")
        return exit_codes.ACCEPTED
    return _go_on(args, path, asked, accept)


def _open_one() -> Any:
    from avocado_hvqual.campaign import continuing

    found = continuing.open_here(_say)
    if len(found) > 1:
        message = f"Several campaigns of this host are open; name one of them: {', '.join(map(str, found))}."
        raise PlanError(message)
    return found[0] if found else None


def _go_on(args: argparse.Namespace, path: Path, asked: options.Asked, accept: tuple[str, ...]) -> int:
    """Go on with the campaign in *path*, with its journal locked from before anything is put back to the end."""
    from avocado_hvqual.campaign import cleaning, continuing, libvirt_probe, room
    from avocado_hvqual.campaign.journal import Journal

    past = continuing.read(path)
    continuing.demand_same_node(past)
    if args.verb == "resume" and past.is_finished:
        return _judged_late(past, asked, accept)
    made = continuing.plan_of(past)
    _demand_room(path)
    room.demand(made.cases, made.profile.name)
    if any(case.planned.key.vt_type == "libvirt" for case in made.cases):
        libvirt_probe.demand_uris({libvirt_probe.URI})
    with Journal.open(past.folder.path) as journal:
        # Read again: until now somebody else could write to it.
        past = continuing.read(path)
        choose = _what_is_left if args.verb == "resume" else chosen.cases
        if args.verb == "rerun":
            choose(args, past, asked)
        cleaning.mend(_say)
        past = continuing.close(past, journal, _say)
        todo = choose(args, past, asked)
        cause = continuing.Cause(args.verb, shlex.join(["avocado", *sys.argv[1:]]), _status_after(args, past))
        return _campaign(continuing.Going(past, made, todo, cause, journal), asked, accept or made.profile.accept)


def _judged_late(past: Any, asked: options.Asked, accept: tuple[str, ...]) -> int:
    """
    Write the reports of a campaign that broke between its end and them, and return the exit status of its verdict.

    PlanError when they are there: nothing is left to be done.
    """
    from avocado_hvqual.campaign import continuing, outcome

    path = past.folder.path
    if outcome.is_told(path):
        message = f"'{path}' has come to its end; to try cases of it again: avocado hvqual rerun {path} --failed"
        raise PlanError(message)
    _say(f"'{path}' has come to its end; only its reports were not written any more.")
    return exit_codes.status(_concluded(path, asked), accept or continuing.plan_of(past).profile.accept)


def _concluded(path: Path, asked: options.Asked) -> Any:
    """Judge the campaign in *path*, write its reports, tell them, and return the verdict."""
    from avocado_hvqual.campaign import outcome
    from avocado_hvqual.reports.cli import tell

    done = outcome.conclude(path, asked.ledger, asked.policy)
    tell(done.qualification, sys.stdout)
    sys.stdout.write(f"Report: {done.page}\n")
    return done.qualification


def _demand_room(path: Path) -> None:
    free = shutil.disk_usage(path).free // 2**20
    if free < folder.NEEDED_MIB:
        message = (
            f"'{path}' has {free} MiB free, a campaign needs {folder.NEEDED_MIB} MiB; make room, then go on with it."
        )
        raise PlanError(message)


def _status_after(args: argparse.Namespace, past: Any) -> str:
    """Return how the journal ends when all went well: cases that were tried again do not finish what had not come to its end."""
    if args.verb == "resume" or past.is_finished:
        return "finished"
    return past.record.ended or "interrupted"


def _what_is_left(args: argparse.Namespace, past: Any, _asked: options.Asked) -> frozenset[str]:
    from avocado_hvqual.campaign import continuing

    left = continuing.missing(past.record, args.repeat_interrupted)
    for case in left.given_up:
        _say(f"'{case}' was running each time the campaign broke, and is not tried again (--repeat-interrupted).")
    return left.todo


def _campaign(going: Any, asked: options.Asked, accept: tuple[str, ...]) -> int:
    from avocado_hvqual.campaign import continuing

    past, made = going.past, going.made
    keys = [str(case.planned.key) for case in made.cases if str(case.planned.key) in going.todo]
    with Progress(made.profile.name, keys, past.folder.log) as progress:
        progress.say(
            f"Campaign {past.folder.campaign} goes on in {past.folder.path}: {share(len(keys), len(made.cases), 'case')} "
            f"{agreeing(len(keys), 'is', 'are', of=len(made.cases))} to be run, "
            f"{clock(progress.eta())}."
        )
        _tell_build(past, asked, progress.say)
        folder.note_open(past.folder)
        campaign = continuing.Continued.of(going, progress, asked=asked)
        status = campaign.run()
    qualification = _concluded(past.folder.path, asked)
    for failure in campaign.failures:
        sys.stderr.write(f"{failure}\n")
    if status == "interrupted" and campaign.interrupted:
        return exit_codes.INTERRUPTED
    return exit_codes.status(qualification, accept) or (exit_codes.PLAIN_RUN if campaign.failures else 0)


def _tell_build(past: Any, asked: options.Asked, say: Callable[[str], None]) -> None:
    """Say at once when the node has another build than the campaign had; the judge says what that makes stale."""
    from avocado_hvqual.campaign import facts
    from avocado_hvqual.judging.builds import Builds

    builds = Builds(asked.judged_by()[0].builds, (*past.record.builds, facts.versions()))
    change = builds.change(builds.last - 1, builds.last)
    if change:
        say(
            f"Another build is under test: {change}. What was tried on the one before is stale until it is tried again (rerun --stale)."
        )


def _enter_lab(args: argparse.Namespace) -> int:
    """Bring the lab up, go on inside its node, and return its status."""
    from avocado_hvqual import lab

    lab.up()
    inner = [sys.executable, "-m", "avocado", "hvqual", args.verb]
    if args.folder:
        inner.append(str(args.folder.absolute()))
    for value in args.accept or ():
        inner += ["--accept", value]
    inner += chosen.words(args) if args.verb == "rerun" else ["--repeat-interrupted", str(args.repeat_interrupted)]
    inner += options.words(args)
    try:
        scratch.do_without()
        return lab.attend(lab.NODE, inner)
    except lab.PowerLostError:
        where = args.folder.absolute() if args.folder else ""
        sys.stderr.write(
            f"The host '{lab.NODE}' lost its power during the campaign. Go on with 'avocado hvqual resume {where} --lab'.\n"
        )
        return exit_codes.INTERRUPTED


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
