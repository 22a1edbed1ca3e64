# SPDX-License-Identifier: GPL-2.0-or-later
"""
``avocado hvqual watch FOLDER``: the watcher at the other end of a mirror.

====  ====================================================================================================================
0     the campaign ended (its verdict is another question) and the mirror is the same as the node's files
2     wrong usage, or a folder that cannot be written to
8     interrupted
51    silence: nothing was heard for --give-up seconds; the journal's neighbour watch.jsonl makes it a host hang to the judge
52    the campaign's process died while its host lived on, and nobody resumed it for --give-up seconds
53    the campaign ended, and the mirror is not the same as the node's files
====  ====================================================================================================================
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

from avocado_hvqual.errors import HvqualError
from avocado_hvqual.mirror.watching import Options, Watch


def add_parser(subparsers: Any) -> None:
    """Add the verb watch."""
    parser = subparsers.add_parser("watch", help="follow a mirrored campaign; silence becomes a host hang")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the folder that --mirror names, on this end")
    parser.add_argument(
        "--silence", type=_seconds, default=30.0, metavar="SECONDS", help="what is silence (default: 30)"
    )
    parser.add_argument(
        "--give-up", type=_seconds, default=3600.0, metavar="SECONDS", help="end with 51 after so long (default: 3600)"
    )
    parser.add_argument(
        "--notify-command", metavar="COMMAND", help="run this, without a shell, with the message on its standard input"
    )


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 1.0 <= value <= 1e7:  # noqa: PLR2004 - a second, and some months
        message = f"'{text}' is no number of seconds from 1 on"
        raise argparse.ArgumentTypeError(message)
    return value


def run(args: argparse.Namespace) -> int:
    """Watch and return the exit status."""
    try:
        words = tuple(shlex.split(args.notify_command or ""))
    except ValueError as error:
        message = f"--notify-command '{args.notify_command}' cannot be parted into words: {error}."
        raise HvqualError(message) from error
    if words and shutil.which(words[0]) is None:
        message = f"--notify-command names '{words[0]}', which is no program here."
        raise HvqualError(message)
    if not args.folder.is_dir() or not os.access(args.folder, os.W_OK):
        message = f"'{args.folder}' is no folder that can be written to; it is where the mirror goes, on this end."
        raise HvqualError(message)
    options = Options(args.silence, args.give_up, words)
    try:
        return Watch(args.folder, options, _say).run()
    except OSError as error:
        message = f"'{args.folder}' cannot be watched: {error.strerror}."
        raise HvqualError(message) from error


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
