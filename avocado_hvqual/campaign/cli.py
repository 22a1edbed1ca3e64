# SPDX-License-Identifier: GPL-2.0-or-later
"""``avocado hvqual plan | run | clean``."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from avocado_hvqual import exit_codes, plan, profiles, required
from avocado_hvqual.campaign import folder, options, scratch
from avocado_hvqual.campaign.durations import Durations
from avocado_hvqual.campaign.progress import Progress, clock
from avocado_hvqual.errors import PlanError
from avocado_hvqual.mirror import mirror
from avocado_hvqual.wording import agreeing, counted

LOCK_DIFFERS = 1


def add_parser(subparsers: Any) -> None:
    """Add the verbs plan, run and clean to an argparse subparsers object."""
    planned = subparsers.add_parser("plan", help="what a profile requires, in which order, and how long it takes")
    _add_selection(planned, default="lab")
    planned.add_argument(
        "--json", action="store_true", dest="plan_json", help="write the whole catalog entry of each case"
    )
    lock = planned.add_mutually_exclusive_group()
    lock.add_argument("--lock", action="store_true", help="write the required table anew from the cfgs, to be reviewed")
    lock.add_argument("--check-lock", action="store_true", help="end with 1 where cfgs and required table differ")
    run_parser = subparsers.add_parser("run", help="qualify this node, or the lab's")
    _add_selection(run_parser, default=None)
    run_parser.add_argument(
        "--lab", action="store_true", help="run inside the lab's host hv-a, which is brought up first"
    )
    run_parser.add_argument("--output", metavar="DIR", help="a new or empty folder for the campaign")
    run_parser.add_argument("--accept", action="append", metavar="VERDICT,...", help="verdicts that end with 0")
    options.add(run_parser)
    clean_parser = subparsers.add_parser("clean", help="put back what a killed run left behind")
    clean_parser.add_argument("--lab", action="store_true", help="clean the lab's hosts, each from inside")
    clean_parser.add_argument("--force", action="store_true", help="end tests of ours that still run, too")


def _add_selection(parser: argparse.ArgumentParser, default: Any) -> None:
    names = ", ".join(profiles.names())
    parser.add_argument("--profile", default=default, required=default is None, help=f"the scale: {names}")
    parser.add_argument(
        "--only", action="append", default=[], metavar="CATEGORY|ID,...", help="a part of it; never qualifies"
    )
    parser.add_argument(
        "--param", action="append", default=[], metavar="NAME=VALUE", help="a parameter other than the profile's"
    )


def run(args: argparse.Namespace) -> int:
    """Do what the arguments say and return the exit status; HvqualError carries the sentence for the user."""
    verbs = {"plan": _plan, "run": _run, "clean": _clean}
    return verbs[args.verb](args)


def _words(given: Sequence[str]) -> list[str]:
    return [word for text in given for word in text.replace(",", " ").split()]


def _params(given: Sequence[str]) -> dict[str, str]:
    params = {}
    for text in given:
        name, separator, value = text.partition("=")
        if not separator or not name.strip():
            message = f"--param takes NAME=VALUE; it was given '{text}'."
            raise PlanError(message)
        params[name.strip()] = value
    return params


def make_plan(args: argparse.Namespace) -> plan.Made:
    """Return the plan that the arguments ask for."""
    from avocado_hvqual import catalog

    profile = profiles.load(args.profile)
    cases = catalog.load(profile.name, profile.backends)
    return plan.make(profile, cases, required.read(), _words(args.only), _params(args.param))


def _plan(args: argparse.Namespace) -> int:
    if args.lock or args.check_lock:
        return _lock(write=args.lock)
    made = make_plan(args)
    durations = Durations()
    seconds = {
        str(case.planned.key): durations.expected(made.profile.name, str(case.planned.key)) for case in made.cases
    }
    sys.stdout.write(_as_json(made, seconds, durations) if args.plan_json else _as_text(made, seconds))
    return 0


def _lock(*, write: bool) -> int:
    from avocado_hvqual import catalog

    entries = catalog.load()
    cases = [entry.planned for entry in entries.values()]
    limits = {key: entry.limits for key, entry in entries.items()}
    if write:
        if not cases:
            message = "There is no case at all, so no lock is written. Try 'avocado hvqual register'."
            raise PlanError(message)
        text = required.text(cases, required.read(anew=True), limits)
        required.LOCK.write_text(text, encoding="utf-8")
        number = f"{counted(len(cases), 'case')} {agreeing(len(cases), 'is', 'are')}"
        sys.stdout.write(f"{number} required now; review '{required.LOCK}' before it is committed.\n")
        return 0
    said = required.differences(cases, required.read(), limits)
    sys.stdout.write("".join(f"{line}\n" for line in said or ["The lock and the cfgs agree."]))
    return LOCK_DIFFERS if said else 0


def _as_json(made: plan.Made, seconds: dict[str, float], durations: Durations) -> str:
    def case(ready: plan.Ready) -> dict[str, Any]:
        key = str(ready.planned.key)
        measured = durations.known(made.profile.name, key)
        return {**ready.planned.to_json(), "name": ready.runnable.uri, "seconds": seconds[key], "measured": measured}

    whole = {
        "profile": made.profile.to_json(),
        "only": list(made.only),
        "part": made.part,
        "required": made.denominator,
        "cases": [case(ready) for ready in made.cases],
        "rows": [row.to_json() for row in made.required],
        "missing": [str(key) for _, key in made.missing],
        "weaker": [{**one._asdict(), "key": str(one.key)} for one in made.weaker],
        "changes": [{**change._asdict(), "key": str(change.key)} for change in made.changes],
        "seconds": sum(seconds.values()),
    }
    return json.dumps(whole, indent=1) + "\n"


def _as_text(made: plan.Made, seconds: dict[str, float]) -> str:
    lines = [
        f"Profile {made.profile.name} ({made.profile.title}): {counted(made.denominator, 'required case')}, {clock(sum(seconds.values()))}."
    ]
    for phase in made.phases():
        lines.append(f"{phase.value}:")
        keys = [str(case.planned.key) for case in made.cases if case.planned.phase is phase]
        lines += [f"  {key}  ({clock(seconds[key])})" for key in keys]
    lines += [
        f"MISSING: {key} is required, but no case answers it: the verdict will be INCOMPLETE."
        for _, key in made.missing
    ]
    lines += [f"WEAKER: {one.key}: {one.sentence} The verdict will be INCOMPLETE." for one in made.weaker]
    lines += [
        f"changed: {change.name} = {change.given} instead of {change.shipped} in {change.key}"
        for change in made.changes
    ]
    if made.part:
        lines.append("This is a part run: it is judged as SELECTION and qualifies nothing.")
    return "\n".join(lines) + "\n"


class _Prepared(NamedTuple):
    made: plan.Made
    accept: tuple[str, ...]
    place: folder.Folder
    asked: options.Asked


def _run(args: argparse.Namespace) -> int:
    profile = profiles.load(args.profile)
    accept = tuple(_words(args.accept)) if args.accept else profile.accept
    exit_codes.parse_accept(accept)
    # Read now, so that what is wrong with them is told before the night and not after it.
    asked = options.read(args)
    asked.judged_by()
    if os.geteuid() != 0:
        needs = "root (it reads the kernel log, puts nodes back, and uses libvirt's system connection)"
        message = f"A campaign needs {needs}, found user id {os.geteuid()}; run it with sudo."
        raise PlanError(message)
    if args.lab:
        return _enter_lab(args)
    from avocado_hvqual.campaign import around, libvirt_probe, room

    made = make_plan(args)
    room.demand(made.cases, made.profile.name)
    if any(case.planned.key.vt_type == "libvirt" for case in made.cases):
        libvirt_probe.demand_uris({libvirt_probe.URI})
    around.demand_untainted()
    name = folder.new_id(dt.datetime.now(dt.timezone.utc), profile.name)  # noqa: TID251 - the campaign happens now
    if asked.mirror:
        mirror.demand(asked.mirror, name)
    place = folder.create(Path(args.output) if args.output else folder.default_path(name), name)
    return _campaign(_Prepared(made, accept, place, asked))


def _campaign(prepared: _Prepared) -> int:
    from avocado_hvqual.campaign import outcome
    from avocado_hvqual.campaign.campaign import Campaign
    from avocado_hvqual.reports.cli import tell

    made, place = prepared.made, prepared.place
    keys = [str(case.planned.key) for case in made.cases]
    with Progress(made.profile.name, keys, place.log) as progress:
        progress.say(
            f"Campaign {place.campaign} in {place.path}: {counted(made.denominator, 'required case')}, {clock(progress.eta())}."
        )
        campaign = Campaign(made, place, shlex.join(["avocado", *sys.argv[1:]]), progress, prepared.asked)
        status = campaign.run()
    done = outcome.conclude(place.path, prepared.asked.ledger, prepared.asked.policy)
    tell(done.qualification, sys.stdout)
    sys.stdout.write(f"Report: {done.page}\n")
    for failure in campaign.failures:
        sys.stderr.write(f"{failure}\n")
    if status == "interrupted":
        return exit_codes.INTERRUPTED
    return exit_codes.status(done.qualification, prepared.accept) or (exit_codes.PLAIN_RUN if campaign.failures else 0)


def _enter_lab(args: argparse.Namespace) -> int:
    """Bring the lab up, run the same command inside its node, and return its status."""
    from avocado_hvqual import lab

    lab.up()
    inner = [sys.executable, "-m", "avocado", "hvqual", "run", "--profile", args.profile]
    for name in ("only", "param", "accept"):
        for value in getattr(args, name) or ():
            inner += [f"--{name}", value]
    if args.output:
        inner += ["--output", str(Path(args.output).absolute())]
    inner += options.words(args)
    try:
        scratch.do_without()
        return lab.attend(lab.NODE, inner)
    except lab.PowerLostError:
        where = Path(args.output).absolute() if args.output else folder.latest()
        sys.stderr.write(
            f"The host '{lab.NODE}' lost its power during the campaign, which is interrupted. Power it on with 'avocado hvqual lab up', "
            f"put it in order with 'avocado hvqual clean --lab', then see 'avocado hvqual verdict {where}'. All of that, and the rest of "
            f"the campaign: avocado hvqual resume {where} --lab\n"
        )
        return exit_codes.INTERRUPTED


def _clean(args: argparse.Namespace) -> int:
    from avocado_hvqual.campaign import cleaning

    return cleaning.clean(lab=args.lab, force=args.force, write=_say)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
