# SPDX-License-Identifier: GPL-2.0-or-later
"""``clean``: the node put back, the temporary folders of dead campaigns removed, and their journals closed."""

from __future__ import annotations

import sys
from collections.abc import Callable

from avocado_hvqual import clean as node_clean
from avocado_hvqual.campaign import abandoned, processes, scratch
from avocado_hvqual.campaign.folder import home, host_id

Write = Callable[[str], None]


def clean(*, lab: bool, force: bool, write: Write) -> int:
    """Clean this host, or each host of the lab from inside; return 0 when nothing of ours is left, else 1."""
    if lab:
        return _clean_lab(force=force, write=write)
    for process in processes.abandoned():
        write(f"done: ended process {process.pid}, which a dead run had left")
    processes.kill(processes.abandoned(), grace=1.0)
    for path in scratch.remove_abandoned():
        write(f"done: removed '{path}'")
    abandoned.close_all(write)
    report = node_clean.clean(home(), host_id(), force=force, write=write)
    return report.exit_status


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
