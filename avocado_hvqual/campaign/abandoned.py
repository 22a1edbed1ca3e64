# SPDX-License-Identifier: GPL-2.0-or-later
"""
Campaigns whose process is gone: killed, or lost with the host's power. Their journals are closed, so that they can be judged.

The line that closes a journal carries the boot of the host that writes it. When that is another one than the campaign's, the judge
says that the host was rebooted, and during which case. The last words of the kernel, which the campaign copied and nobody has
read, are read now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Optional

from avocado_hvqual.campaign import facts, journal, last_words
from avocado_hvqual.campaign.folder import home, open_elsewhere
from avocado_hvqual.errors import JournalError

Write = Callable[[str], None]


def close_all(write: Write) -> int:
    """
    Close the journal of each campaign of this host whose process is gone, so that it is judged as interrupted; return how many.

    A journal that somebody still writes to holds a lock and is left alone; a damaged one is told and left as it is.
    """
    closed = 0
    for note, folder in folders():
        try:
            if folder.joinpath(journal.FILE).exists():
                closed += _close(folder, write)
            if note is not None:
                note.unlink(missing_ok=True)
        except JournalError as error:
            write(f"left: {error}")
    return closed


def folders() -> Iterator[tuple[Optional[Path], Path]]:
    """Yield (the note that names it, or None, its folder) of each campaign that this host may know of."""
    for path in sorted((home() / "campaigns").glob(f"*/{journal.FILE}")):
        yield None, path.parent
    yield from open_elsewhere()


def _close(folder: Path, write: Write) -> bool:
    lines = journal.read(folder).lines
    if lines and lines[-1].kind == "campaign-end":
        return False
    if lines and lines[0].data["node"]["id"] != facts.node_id():
        # Both hosts of a lab, and the machine that carries them, share one state home.
        message = f"'{folder}' is the campaign of '{lines[0].data['node']['id']}', and this is '{facts.node_id()}': run clean there."
        raise JournalError(message)
    with journal.Journal.open(folder) as writer:
        words = last_words.collect(folder, lines)
        last_words.write(writer, words)
        writer.append("campaign-end", {"status": "interrupted"})
    for note in words.notes:
        write(f"note: {note}")
    write(f"done: closed the journal of the interrupted campaign in '{folder}'")
    return True
