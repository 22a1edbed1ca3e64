# SPDX-License-Identifier: GPL-2.0-or-later
"""The parts of a campaign that was broken off and went on: each is the work of one process, and has a copy of the kernel log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from avocado_hvqual.campaign.host_watch import COPY, COPY_OF_PART
from avocado_hvqual.campaign.journal import Line


class Part(NamedTuple):
    """One part: its place, from 0, and its lines of the journal."""

    number: int
    lines: tuple[Line, ...]

    @property
    def kernel_log(self) -> str:
        """The name of its copy of the kernel log."""
        return copy_of(self.number)

    @property
    def boot_id(self) -> str:
        """The boot of the host in which it began."""
        return self.lines[0].boot_id

    @property
    def closed(self) -> bool:
        """Whether somebody wrote its last line: itself, or `clean` in its place."""
        return any(line.kind == "campaign-end" for line in self.lines)

    @property
    def rebooting(self) -> bool:
        """Whether it ended because the node was to boot anew."""
        return any(line.kind == "reboot-planned" for line in self.lines)


def copy_of(number: int) -> str:
    """Return the name of a part's copy of the kernel log."""
    return COPY_OF_PART.format(number + 1) if number else COPY


def last(lines: Sequence[Line]) -> Part:
    """Return the last part of a journal."""
    starts = [place for place, line in enumerate(lines) if line.kind == "continued"]
    return Part(len(starts), tuple(lines[starts[-1] if starts else 0 :]))


def machine(boot_id: str) -> str:
    """Return what names the boot of the kernel: a host of the lab has boots of its own below one."""
    return boot_id.partition("/")[0]
