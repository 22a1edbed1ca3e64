# SPDX-License-Identifier: GPL-2.0-or-later
"""
A guest is made transient and persistent again while it runs, is renamed, and is removed with all that libvirt keeps of it.

Use case ``hvqual.lifecycle.define_undefine``.
"""

from dataclasses import dataclass

from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined
from provider.hvqual.operations import definition


@dataclass(frozen=True)
class DefineUndefine:
    """Nothing of its own."""


def run(test, params, env):
    """
    1. Undefine the running guest and define it again: it lives on as the same process, transient meanwhile.
    2. Undefine it with a managed save, then with a snapshot's metadata: refused without the flag, removed with it.
    3. Create it without a definition: once its power is pulled it is gone.
    4. Rename it and back; another domain of its name or uuid is refused; its own XML changes nothing.
    """
    with case(test, params, env, DefineUndefine) as it, defined(it) as stand:
        stand.bring_up()
        with stand.watched():
            stand.each(definition.transient_and_back)
            stand.hold()
        stand.each(definition.undefined_with_saved_state)
        stand.each(definition.undefined_with_snapshot)
        stand.each(definition.transient_from_the_start)
        stand.each(definition.renamed_and_back)
        stand.each(definition.twins_are_refused)
        stand.each(definition.round_trip)
