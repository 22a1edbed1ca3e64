# SPDX-License-Identifier: GPL-2.0-or-later
"""The parts of a campaign that was broken off and went on: each is the work of one process, and has a copy of the kernel log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from avocado_hvqual.campaign.journal import Line
from avocado_hvqual.health import copies


class Part(NamedTuple):
    """One part: its place, from 0, and its lines of the journal."""

    number: int
    lines: tuple[Line, ...]

    @property
    def kernel_log(self) -> str:
        """The name of its copy of the kernel log."""
        return copies.of(self.number)

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


def every(lines: Sequence[Line]) -> list[Part]:
    """Return the parts of a journal in their order."""
    starts = [0, *(place for place, line in enumerate(lines) if line.kind == "continued")]
    ends = [*starts[1:], len(lines)]
    return [Part(number, tuple(lines[start:end])) for number, (start, end) in enumerate(zip(starts, ends))]


def last(lines: Sequence[Line]) -> Part:
    """Return the last part of a journal."""
    return every(lines)[-1]


def machine(boot_id: str) -> str:
    """Return what names the boot of the kernel: a host of the lab has boots of its own below one."""
    return boot_id.partition("/")[0]
