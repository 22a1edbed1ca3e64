# SPDX-License-Identifier: GPL-2.0-or-later
"""`avocado hvqual <verb>`: finds the verb's module, and turns what went wrong into one sentence and an exit status."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from typing import Any, NamedTuple

from avocado.core.plugin_interfaces import CLICmd

from avocado_hvqual.errors import HvqualError

USAGE = 2
INTERRUPTED = 8


class Verb(NamedTuple):
    """Where a verb is implemented, and what it is for."""

    module: str
    help: str


# Written out: the help needs no import of a verb, and a broken verb does not break the others.
VERBS = {
    "lab": Verb("avocado_hvqual.lab.cli", "two hypervisor hosts on one machine: up, status, exec, down"),
    "node": Verb("avocado_hvqual.preparation.cli", "make a bare host ready: check, prepare, restore, facts, compare"),
    "image": Verb("avocado_hvqual.images.cli", "guest images of the lab: build, list"),
    "plan": Verb("avocado_hvqual.campaign.cli", "what a profile requires"),
    "run": Verb("avocado_hvqual.campaign.cli", "qualify this node, or the lab's"),
    "resume": Verb("avocado_hvqual.campaign.again", "go on with a campaign that broke off"),
    "rerun": Verb("avocado_hvqual.campaign.again", "try cases of a campaign again, for instance on a patched build"),
    "verdict": Verb("avocado_hvqual.reports.cli", "judge a campaign's results; the exit status is the verdict"),
    "report": Verb("avocado_hvqual.reports.cli", "write the reports of a campaign"),
    "bugs": Verb("avocado_hvqual.trackers.cli", "reports of what was found, for a bug tracker: draft, file"),
    "watch": Verb("avocado_hvqual.mirror.cli", "follow a mirrored campaign; silence becomes a host hang"),
    "diff": Verb("avocado_hvqual.reports.diff", "what changed from one campaign to another"),
    "explain": Verb("avocado_hvqual.reports.cli", "what a use case, a finding or a verdict means"),
    "fault": Verb("avocado_hvqual.faults.cli", "run a command with a seeded fault, to see that it is noticed"),
    "clean": Verb("avocado_hvqual.campaign.cli", "put back what a killed run left behind"),
    "register": Verb("avocado_hvqual.registration.cli", "make avocado-vt know the tests again, after unregister"),
    "unregister": Verb("avocado_hvqual.registration.cli", "remove the tests from avocado-vt's lists"),
}


class HvqualCommand(CLICmd):
    """The subcommand `hvqual` of avocado."""

    name = "hvqual"
    description = "Qualify a hypervisor node: plan, run, verdict"

    def configure(self, parser: Any) -> None:
        """Take the subcommand without looking into it: verbs are imported when they are called, not at each `avocado list`."""
        action = parser.subcommands
        before = action._parser_class  # noqa: SLF001 - argparse has no other way to give one subcommand its own parser
        action._parser_class = _Everything  # noqa: SLF001
        try:
            action.add_parser(self.name, help=self.description, add_help=False)
        finally:
            action._parser_class = before  # noqa: SLF001

    def run(self, config: dict[str, Any]) -> int:
        """Run the verb on the command line and return the exit status."""
        return dispatch(config["hvqual_arguments"])


class _Everything(argparse.ArgumentParser):
    """Accepts any arguments and stores them in `hvqual_arguments`, `--help` included (argparse.REMAINDER stumbles over that)."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Return a namespace that holds *args* as they are."""
        namespace = argparse.Namespace() if namespace is None else namespace
        namespace.hvqual_arguments = list(args or [])
        return namespace, []


def dispatch(arguments: list[str]) -> int:
    """Run `avocado hvqual *arguments*`: 2 for wrong usage and for an error that is told in one sentence, 8 when interrupted."""
    try:
        status = _dispatch(arguments)
        # Here, while a reader that went away can still be dealt with.
        sys.stdout.flush()
    except HvqualError as failure:
        sys.stderr.write(f"{failure}\n")
        return USAGE
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away (`| head`): nobody is left to tell, and Python must not try again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return USAGE
    return status


def _dispatch(arguments: list[str]) -> int:
    """Show the help, refuse an unknown verb, or run a known one."""
    if not arguments or arguments[0] in {"-h", "--help"}:
        (sys.stdout if arguments else sys.stderr).write(_help())
        return 0 if arguments else USAGE
    verb = arguments[0]
    if verb not in VERBS:
        sys.stderr.write(f"avocado hvqual has no verb '{verb}'. The verbs are: {', '.join(VERBS)}.\n")
        return USAGE
    return _run(verb, arguments)


def _run(verb: str, arguments: list[str]) -> int:
    """Import the module of *verb*, parse the command line with it and run it."""
    try:
        module = importlib.import_module(VERBS[verb].module)
    except ImportError as failure:
        message = f"The verb '{verb}' cannot be loaded: {failure}. Is the installation of avocado-hvqual complete?"
        raise HvqualError(message) from failure
    parser = argparse.ArgumentParser(prog="avocado hvqual", allow_abbrev=False)
    module.add_parser(parser.add_subparsers(dest="verb", required=True))
    try:
        args = parser.parse_args(arguments)
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else USAGE
    return int(module.run(args))


def _help() -> str:
    """Return the text of `avocado hvqual --help`."""
    width = max(map(len, VERBS))
    lines = [f"  {name:{width}}  {verb.help}" for name, verb in VERBS.items()]
    return "\n".join(["usage: avocado hvqual VERB ...", "", "verbs (each has its own --help):", *lines, ""])
