# SPDX-License-Identifier: GPL-2.0-or-later
"""
A saved guest is silent, and a restored one goes on where it was: same boot, same memory, same disk, same session.

Use case ``hvqual.lifecycle.save_restore``.
"""

from dataclasses import dataclass

from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined
from provider.hvqual.operations import saving


@dataclass(frozen=True)
class SaveRestore:
    """Nothing of its own."""


def run(test, params, env):
    """
    1. Start the guest; lay canaries; watch it for a while.
    2. Save it: off for the reason 'saved', the file holds it and no more than it had of memory, no heartbeat comes.
    3. Restore it: the same boot goes on after a silence as long as the time off, watched for a while; the file is kept, and the
       session of before the save still answers.
    """
    with case(test, params, env, SaveRestore) as it, defined(it) as stand:
        stand.bring_up()
        with stand.watched():
            stand.hold()
        stand.each(saving.saved_and_restored)
        with stand.watched():
            stand.hold()
        stand.each(saving.same_session)
