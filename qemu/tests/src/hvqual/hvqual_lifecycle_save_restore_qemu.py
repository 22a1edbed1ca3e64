# SPDX-License-Identifier: GPL-2.0-or-later
"""
A guest saved by QEMU's migration to a file goes on in another QEMU: same boot, same memory, same disk, same session.

Twin of ``hvqual.lifecycle.save_restore``.
"""

from dataclasses import dataclass

from provider.hvqual.backends import guests_of
from provider.hvqual.case import case


@dataclass(frozen=True)
class SaveRestore:
    """Nothing of its own."""


def run(test, params, env):
    """
    1. Start the guest; lay canaries; watch it for a while.
    2. Save it and end its QEMU: the file holds it, no heartbeat comes.
    3. Have another QEMU go on from the file: the same boot, watched for a while; the session of before the save still answers.
    """
    with case(test, params, env, SaveRestore) as it, guests_of(it) as backend:
        stand = backend.stand
        stand.bring_up()
        with stand.watched():
            stand.hold()
        stand.each(backend.saved_and_restored)
        with stand.watched():
            stand.hold()
        stand.each(backend.same_session)
