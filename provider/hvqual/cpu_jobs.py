# SPDX-License-Identifier: GPL-2.0-or-later
"""
A job bound to each CPU of a guest, in a session that outlives the login, and what the jobs write about themselves.

A set of jobs has a *place*, the beginning of its files' names in the guest: PLACE.pl is the program (Perl without a module, as all that
is certain to be in a guest), PLACE.pid.CPU, PLACE.out.CPU and PLACE.said.CPU are a job's own.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable

from provider.hvqual.asked import Asked


def begin(guest: Asked, place: str, program: str, cpus: Iterable[int], longest: float, *arguments: int) -> None:
    """Start *program* with its CPU, its file and *arguments* on each of *cpus*; each job ends by itself after *longest* seconds."""
    encoded = base64.b64encode(program.encode()).decode()
    numbers = " ".join(map(str, cpus))
    given = " ".join(map(str, arguments))
    runs = f"timeout {longest:.0f} taskset -c $cpu perl {place}.pl $cpu {place}.out.$cpu {given}"
    one = f"echo $$ > {place}.pid.$cpu; exec {runs}"
    guest.ask(
        # A job of that CPU which was left over when it went is another one.
        f"echo {encoded} | base64 -d > {place}.pl; for cpu in {numbers}; do "
        f"test -s {place}.pid.$cpu && kill -- -$(cat {place}.pid.$cpu) 2> /dev/null; rm -f {place}.*.$cpu; "
        f"cpu=$cpu setsid sh -c '{one}' < /dev/null > {place}.said.$cpu 2>&1 & done"
    )


def written(guest: Asked, place: str) -> str:
    """Return the line that each job has written last."""
    return guest.ask(f"cat {place}.out.* 2> /dev/null; true")


def complaints(guest: Asked, place: str) -> str:
    """Return the last of what the jobs said beside, where a job that does not get on says why."""
    return guest.ask(f"cat {place}.said.* 2> /dev/null | tail -n 3; true").strip()


def end(guest: Asked, place: str) -> None:
    """End the jobs of the guest, and leave nothing of them."""
    guest.ask(
        f"for file in {place}.pid.*; do kill -- -$(cat $file); done 2> /dev/null; "
        f"rm -f {place}.pid.* {place}.out.* {place}.said.*"
    )
