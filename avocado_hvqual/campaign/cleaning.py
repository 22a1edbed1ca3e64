# SPDX-License-Identifier: GPL-2.0-or-later
"""``clean``: the node put back, the temporary folders of dead campaigns removed, and their journals closed."""

from __future__ import annotations

import sys
from collections.abc import Callable

from avocado_hvqual import clean as node_clean
from avocado_hvqual.campaign import abandoned, processes, scratch
from avocado_hvqual.campaign.folder import home, host_id
from avocado_hvqual.node import NodeError

Write = Callable[[str], None]


def clean(*, lab: bool, force: bool, write: Write) -> int:
    """Clean this host, or each host of the lab from inside; return 0 when nothing of ours is left, else 1."""
    if lab:
        return _clean_lab(force=force, write=write)
    _end_dead_runs(write)
    abandoned.close_all(write)
    return node_clean.clean(home(), host_id(), force=force, write=write).exit_status


def mend(write: Write) -> None:
    """Put this host back before a campaign goes on: NodeError when something of ours is left, for nothing runs beside that."""
    _end_dead_runs(write)
    report = node_clean.clean(home(), host_id())
    for line in report.did:
        write(f"done: {line}")
    if not report.clean:
        said = "; ".join((*report.left, *report.tainted))
        message = (
            f"This node is not as it was before the campaign broke: {said}. Mend that, then:  avocado hvqual clean"
        )
        raise NodeError(message)


def _end_dead_runs(write: Write) -> None:
    for process in processes.abandoned():
        write(f"done: ended process {process.pid}, which a dead run had left")
    processes.kill(processes.abandoned(), grace=1.0)
    for path in scratch.remove_abandoned():
        write(f"done: removed '{path}'")


def _clean_lab(*, force: bool, write: Write) -> int:
    from avocado_hvqual import lab

    command = [sys.executable, "-m", "avocado", "hvqual", "clean", *(["--force"] if force else [])]
    worst = 0
    for host in lab.HOSTS:
        write(f"{host}:")
        done = lab.execute(host, command, capture=True)
        for line in (done.stdout + done.stderr).splitlines():
            write(f"  {line}")
        worst = max(worst, done.returncode)
    return worst
