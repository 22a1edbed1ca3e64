# SPDX-License-Identifier: GPL-2.0-or-later
"""Bring a node back to what it was after campaigns that died: `avocado hvqual clean`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Optional

from avocado_hvqual import node


@dataclass(frozen=True)
class CleanReport:
    """What was put back or removed, what of ours is still there with the reason, and why the node is tainted."""

    did: tuple[str, ...]
    left: tuple[str, ...]
    tainted: tuple[str, ...]

    @property
    def clean(self) -> bool:
        """Whether nothing of ours is left and the node is not tainted."""
        return not self.left and not self.tainted

    @property
    def exit_status(self) -> int:
        """0 for a clean node, else 1."""
        return 0 if self.clean else 1

    def lines(self) -> list[str]:
        """The report as lines for a terminal; the last one is the answer."""
        told = [f"done: {line}" for line in self.did] + [f"left: {line}" for line in self.left]
        told += [f"tainted: {line}" for line in self.tainted]
        if self.clean:
            return [*told, "Nothing of ours is left on this node."]
        return [*told, "This node is not clean. Mend what is named above, then run again: avocado hvqual clean"]


def clean(
    home: Path,
    host_id: str,
    *,
    libvirt_uri: str = node.LIBVIRT_URI,
    force: bool = False,
    write: Optional[Callable[[str], None]] = None,
) -> CleanReport:
    """
    Put back what dead campaigns changed on this host, remove what carries our mark, and look again.

    With *force*, test processes that still live are ended first. Each line of the report goes to *write*. NodeError when the
    provider's program cannot be run. In the lab this runs inside the host whose log is meant.
    """
    extra = ["--force"] if force else []
    arguments = ["--home", str(home), "--host", host_id, "--uri", libvirt_uri, *extra]
    answer = node.run_program("sweep", *arguments, statuses=(0, 1))
    report = CleanReport(tuple(answer["did"]), tuple(answer["left"]), tuple(answer["tainted"]))
    if write is not None:
        for line in report.lines():
            write(line)
    return report
