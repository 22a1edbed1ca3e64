# SPDX-License-Identifier: GPL-2.0-or-later
"""
A guest that libvirt saved itself goes on at its next start, also when libvirt's daemon was restarted in between.

Use case ``hvqual.lifecycle.managedsave``.
"""

from dataclasses import dataclass

from provider.hvqual.case import case
from provider.hvqual.daemon import restarted_libvirtd
from provider.hvqual.libvirt_guests import defined
from provider.hvqual.operations import saving


@dataclass(frozen=True)
class ManagedSave:
    """Nothing of its own."""


def run(test, params, env):
    """
    1. Start the guest; lay canaries; watch it for a while.
    2. Save it by libvirt: off for the reason 'saved', libvirt says that it holds it and where, no heartbeat comes.
    3. Restart libvirt's daemon: the guest is still saved.
    4. Start it: the same boot goes on, watched for a while; the image is gone, the session of before the save still answers.
    """
    with case(test, params, env, ManagedSave) as it, defined(it) as stand:
        stand.bring_up()
        with stand.watched():
            stand.hold()
        stand.each(saving.managed_save)
        with saving.silence(stand.guests, stand.expect):
            restarted_libvirtd(it, stand.truth)
            stand.each(saving.stays_saved)
            stand.each(saving.start_saved)
        with stand.watched():
            stand.hold()
        stand.each(saving.same_session)
