# SPDX-License-Identifier: GPL-2.0-or-later
"""
A command and its answer over a guest's shell session, told from what else comes over it by marks that no other answer has.

aexpect's own way knows the end of an answer by the prompt and 0.1 s of silence, and asks for the status by a second command. With a
shorter silence the answer to one command was read for the next one (aexpect 1.8.0, five loaded guests). A mark needs no silence.
"""

from __future__ import annotations

import secrets
import shlex
from typing import Any

# After so much silence what has come is looked at: each answer waits for it once, and there are some thousands in a campaign.
_GATHER_S = 0.002


def ask(session: Any, command: str, timeout: float) -> tuple[int, str]:
    """
    Return the exit status of *command*, a line for the shell of *session* (aexpect's), and what it wrote.

    aexpect's ExpectError when there is no end of it within *timeout* (s) or the session broke.
    """
    begin, end = secrets.token_hex(8), secrets.token_hex(8)
    # In two pieces, so that the mark is not found in an echo of the line. Without job control: bash 5.2 tells of a job of before that has
    # ended amid the answer, with the job's whole command line, which was read for what the command said.
    line = f"set +m; echo {begin[:8]}''{begin[8:]}; eval {shlex.quote(command)}; echo {end[:8]}''{end[8:]} $?"
    session.sendline(line)
    # The prompt is waited for too: what a shell with a line editor is sent before it is cut off at 4095 characters (Linux's terminal line).
    _, text = session.read_until_output_matches(
        [session.prompt],
        filter_func=lambda read: _last_line_after(end, read),
        timeout=timeout,
        internal_timeout=_GATHER_S,
    )
    _, _, answer = text.replace("\r\n", "\n").partition(f"{begin}\n")
    output, _, rest = answer.rpartition(f"{end} ")
    return int(rest.partition("\n")[0]), output


def _last_line_after(mark: str, read: str) -> str:
    """Return the last line of what came after the line of the *mark*; empty as long as that has not come whole."""
    place = read.rfind(f"{mark} ")
    return read[place:].rpartition("\n")[2] if place >= 0 else ""
