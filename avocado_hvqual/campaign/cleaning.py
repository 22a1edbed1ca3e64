# SPDX-License-Identifier: GPL-2.0-or-later
"""``clean``: the node put back, the temporary folders of dead campaigns removed, and their journals closed."""

from __future__ import annotations

import sys
from collections.abc import Callable

from avocado_hvqual import clean as node_clean
from avocado_hvqual.campaign import journal, processes, scratch
from avocado_hvqual.campaign.folder import home, host_id
from avocado_hvqual.errors import JournalError

Write = Callable[[str], None]


def close_abandoned(write: Write) -> int:
    """
    Close the journal of each campaign whose process is gone, so that it is judged as interrupted; return how many.

    A journal that somebody still writes to holds a lock and is left alone; a damaged one is told and left as it is.
    """
    closed = 0
    for path in sorted((home() / "campaigns").glob(f"*/{journal.FILE}")):
        try:
            if journal.read(path.parent).lines[-1:] and journal.read(path.parent).lines[-1].kind == "campaign-end":
                continue
            with journal.Journal.open(path.parent) as writer:
                writer.append("campaign-end", {"status": "interrupted"})
            closed += 1
            write(f"done: closed the journal of the interrupted campaign in '{path.parent}'")
        except JournalError as error:
            write(f"left: {error}")
    return closed


def clean(*, lab: bool, force: bool, write: Write) -> int:
    """Clean this host, or each host of the lab from inside; return 0 when nothing of ours is left, else 1."""
    if lab:
        return _clean_lab(force=force, write=write)
    for process in processes.abandoned():
        write(f"done: ended process {process.pid}, which a dead run had left")
    processes.kill(processes.abandoned(), grace=1.0)
    for path in scratch.remove_abandoned():
        write(f"done: removed '{path}'")
    close_abandoned(write)
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
