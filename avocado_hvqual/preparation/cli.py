# SPDX-License-Identifier: GPL-2.0-or-later
"""`node check | prepare | restore | ...`: each verb is a module with fill(verbs), written out in VERBS."""

from __future__ import annotations

import argparse
from typing import Any

from avocado_hvqual.preparation import cli_check, cli_facts, cli_prepare

VERBS = (cli_check, cli_prepare, cli_facts)


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add the verb `node` to an argparse subparsers object and return its parser."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "node", help="make a bare host ready to be tested", description="Make a bare host ready to be tested."
    )
    verbs = parser.add_subparsers(dest="node_verb", required=True, metavar="VERB")
    for module in VERBS:
        module.fill(verbs)
    return parser


def run(args: argparse.Namespace) -> int:
    """Do what *args* say and return the exit status."""
    return int(args.node_run(args))
