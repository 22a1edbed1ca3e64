# SPDX-License-Identifier: GPL-2.0-or-later
"""The verb ``avocado hvqual fault list | seed NAME -- COMMAND``, which asks whether the suite would notice."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from avocado_hvqual.errors import HvqualError
from avocado_hvqual.faults import registry, seed


def add_parser(subparsers: Any) -> None:
    """Add the verb ``fault``."""
    parser = subparsers.add_parser("fault", help="run a command with a seeded fault, to see that it is noticed")
    verbs = parser.add_subparsers(dest="fault_verb", required=True)
    verbs.add_parser("list", help="name every fault, whom it hits and what must be found")
    under = verbs.add_parser("seed", help="run a command with a fault seeded")
    under.add_argument("name")
    under.add_argument(
        "--results", type=Path, required=True, help="the folder below which the command's tests write their results"
    )
    under.add_argument("command", nargs="+", help="-- and the command, for instance avocado run ...")


def run(args: argparse.Namespace) -> int:
    """Carry out the verb; the exit status of ``seed`` is the command's."""
    if args.fault_verb == "list":
        for fault in registry.FAULTS:
            sys.stdout.write(f"{fault.name:24} {fault.severity:9} {', '.join(fault.use_cases)}\n")
        return 0
    try:
        fault = registry.by_name(args.name)
    except KeyError as error:
        raise HvqualError(error.args[0]) from None
    return seed.run_under(fault, args.command, args.results)
