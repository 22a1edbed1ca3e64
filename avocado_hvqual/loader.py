# SPDX-License-Identifier: GPL-2.0-or-later
"""
``load_campaign(folder) -> CampaignRecord``: the journal and the files of its tests, as they were found.

Never an exception for what a kill, a crash or a hand did to them: it becomes `damage` (of the journal or of one test's file), which
the judge tells. JournalError only when the folder holds no journal whose first line can be read.
"""

from __future__ import annotations

from pathlib import Path

from avocado_hvqual import journal_reading as journal
from avocado_hvqual import retelling, tries
from avocado_hvqual.errors import JournalError
from avocado_hvqual.mirror import notes as watched
from avocado_hvqual.model.record import CampaignRecord, Header
from avocado_hvqual.uncollected import uncollected


@uncollected()
def load_campaign(folder: Path) -> CampaignRecord:
    """Return what a campaign left in *folder*."""
    reading = journal.read(folder)
    if not reading.lines or reading.lines[0].kind != "campaign":
        message = f"{folder}/{(*reading.damage, f'{journal.FILE}:1: there is no whole line.')[0]} There is no campaign to judge."
        raise JournalError(message)
    reader = retelling.read(folder, reading)
    heard = watched.heard(folder, reading.lines)
    torn = f"The journal's last line is torn ({len(reading.torn)} characters): its writer was killed."
    return CampaignRecord(
        header=Header.from_json(reading.lines[0].data, reading.lines[0].wall),
        planned=reader.plan.cases if reader.plan else (),
        required=reader.plan.required if reader.plan else (),
        attempts=tries.in_order(folder, reader.told(), reader.starts, reader.jobs),
        health=(*reader.health, *heard.events),
        doubts=(*reader.doubts, *heard.doubts),
        known=frozenset(one.case for one in {one.case: one for one in reader.told()}.values() if one.watched),
        leftovers=tuple(reader.leftovers),
        gates=tuple(reader.gates),
        parameters=tuple(reader.parameters),
        problems=tuple(reader.problems),
        reboots=tuple(reader.reboots),
        ended=reader.ended,
        ended_wall=reader.ended_wall or reader.wall,
        damage=(*reading.damage, *reader.damage, *heard.damage),
        notes=(*dict.fromkeys(reader.notes), *heard.notes, *((torn,) if reading.torn else ())),
        vouched=tuple(reader.vouched.values()),
        builds=tuple(reader.builds),
        continued=tuple(reader.continued),
    )


__all__ = ["load_campaign"]
