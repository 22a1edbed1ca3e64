# SPDX-License-Identifier: GPL-2.0-or-later
"""What the verbs of `node` share: their options, their texts, and the question before something is touched."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable

from avocado_hvqual.errors import HvqualError, PlanError
from avocado_hvqual.preparation import expectations
from avocado_hvqual.reports.words import safe

EXIT = """\
exit status:
  0   everything asked is as expected
  2   wrong usage, or a file that cannot be read as what it should be
  8   interrupted; `node restore` takes back what `node prepare` had done
  70  a defect was found (with `prepare`: one is left)
  71  no defect, but something could not be seen, which is no approval
"""


def add_expect(parser: argparse.ArgumentParser) -> None:
    """Add ``--expect``."""
    shipped = ", ".join(expectations.names())
    parser.add_argument(
        "--expect",
        metavar="FILE",
        help="YAML with what this node shall be like; sections that it does not name are as in the shipped "
        f"{expectations.SHIPPED}, which explains each of them. Also the name of a shipped description: {shipped}",
    )


def add_only(parser: argparse.ArgumentParser) -> None:
    """Add ``--only``."""
    parser.add_argument(
        "--only",
        metavar="NAME,...",
        default="",
        help="these checks alone; 'network' stands for all whose name begins with 'network.'",
    )


def only(args: argparse.Namespace) -> list[str]:
    """Return the names in ``--only``."""
    return [name for name in args.only.replace(",", " ").split() if name]


def agreed(question: str, *, yes: bool, say: Callable[[str], None]) -> bool:
    """Return whether the user agrees to what was told; PlanError where nobody can be asked."""
    say(question)
    if yes:
        return True
    if not sys.stdin.isatty():
        message = "Nobody can be asked here, and nothing was touched. Say --yes to agree."
        raise PlanError(message)
    sys.stdout.write("Go on? [y/N] ")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def demand_root(what: str) -> None:
    """Return for root; HvqualError otherwise."""
    if os.geteuid() != 0:
        message = f"'{what}' needs root (it changes this node), found user id {os.geteuid()}. Run it with sudo."
        raise HvqualError(message)


def say(line: str, *, quiet: bool = False) -> None:
    """Write one line at once, harmless to a terminal; with *quiet* to stderr, because stdout is for JSON."""
    indent = line[: len(line) - len(line.lstrip(" "))]
    out = sys.stderr if quiet else sys.stdout
    out.write(f"{indent}{safe(line.strip(' '))}\n")
    out.flush()
