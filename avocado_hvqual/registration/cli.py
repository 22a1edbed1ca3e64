# SPDX-License-Identifier: GPL-2.0-or-later
"""`avocado hvqual register` and `avocado hvqual unregister`."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from avocado_hvqual import registration


def add_parser(subparsers: Any) -> None:
    """Add the two verbs to *subparsers*."""
    subparsers.add_parser("register", help="make avocado-vt know our tests again, after unregister")
    subparsers.add_parser(
        "unregister", help="remove our tests from avocado-vt's lists, until register or a new installation"
    )


def run(args: argparse.Namespace) -> int:
    """Do what the verb says; exit status 0, or 2 when avocado-vt could not generate one of its lists."""
    if args.verb == "unregister":
        problems = registration.unregister()
        done = "The tests are unregistered. `avocado hvqual register` brings them back."
    else:
        problems = registration.switch_on()
        done = "The tests are registered: `avocado list --vt-type libvirt hvqual` shows them."
    sys.stdout.write(f"{done}\n")
    for problem in problems:
        sys.stderr.write(f"{problem}\n")
    return 2 if problems else 0
