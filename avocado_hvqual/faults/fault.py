# SPDX-License-Identifier: GPL-2.0-or-later
"""What one seeded fault is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """
    One fault: either a virsh that lies, or something that happens behind the test's back when a step begins.

    *lie* is a virsh verb that reports success and does nothing, only when the word *asked* is given, if there is one (so that who
    only asks is told the truth); with *delay* it does its work, but so many seconds late, and
    with *replays* it says for ever what it said first, and with *rewrites* it does its work with files that sed changed so before.
    Another program's name is that program.
    *emulator* is what a program in the place of QEMU does to what libvirt asks of it (`emulators.EDITS`).
    *spoils* is what is done to copies of files that the command then sees in the place of the real ones (`spoilers.SPOILERS`).
    *given* is a parameter (NAME=VALUE) with which the command is run, so that the case has what is to be spoilt.
    *act* is the name of an action in `acts`, done when the first step that starts with *step* begins.
    *caught* is a regular expression that the message of the finding must match.
    """

    name: str
    use_cases: tuple[str, ...]
    caught: str
    severity: str
    lie: str = ""
    asked: str = ""
    delay: int = 0
    replays: bool = False
    rewrites: str = ""
    emulator: str = ""
    spoils: str = ""
    given: str = ""
    act: str = ""
    step: str = "hold"
