# SPDX-License-Identifier: GPL-2.0-or-later
"""
What is edited in a guest's definition is there at its next start, not before; what is broken is rejected as a whole.

Use case ``hvqual.lifecycle.edit``.
"""

from dataclasses import dataclass

from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined
from provider.hvqual.operations import editing, power


@dataclass(frozen=True)
class Edit:
    """What is edited while the guest runs, and what while it is off."""

    edit_fields: tuple[str, ...]
    edit_fields_off: tuple[str, ...]


def run(test, params, env):
    """
    1. Edit the running guest: its definition changes, what runs does not; broken edits are rejected.
    2. It sees what it saw before, and lives on without a break.
    3. Pull its power; edit more; broken edits are rejected again.
    4. Start it: it sees everything that was edited, and its disk is as it was.
    """
    with case(test, params, env, Edit) as it, defined(it) as stand:
        live, off = editing.known(it.own.edit_fields), editing.known(it.own.edit_fields_off)
        stand.bring_up()
        with stand.watched():
            stand.each(editing.edited, live)
            stand.each(editing.broken_edits)
            stand.hold()
            stand.each(editing.runs_unedited)
        stand.each(power.destroy)
        stand.each(editing.edited, off)
        stand.each(editing.broken_edits)
        stand.each(power.boots_again)
        stand.matches_model()
        stand.each(editing.boots_edited, (*live, *off))
