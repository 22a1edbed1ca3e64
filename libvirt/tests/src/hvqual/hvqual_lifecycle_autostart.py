# SPDX-License-Identifier: GPL-2.0-or-later
"""
After a start of the host the flagged guests run and the others do not; a restart of libvirt's daemon alone starts and ends nobody.

Use case ``hvqual.lifecycle.autostart``. The host is not rebooted: the daemon is given what a boot gives it, an empty /run of its own.
"""

from dataclasses import dataclass, replace

from provider.hvqual.case import case
from provider.hvqual.daemon import restarted_libvirtd
from provider.hvqual.libvirt_guests import defined
from provider.hvqual.operations import autostart, power


@dataclass(frozen=True)
class Autostart:
    """Nothing of its own."""


def run(test, params, env):
    """
    1. Flag every other guest; restart the daemon: a host that was not booted starts nobody.
    2. Kill the daemon and start it as after a boot: the flagged guests boot and answer, the others stay off.
    3. Restart the daemon again: the guests live on in the same QEMU without a break.
    4. Pull their power and take their flags off; restart the daemon as after a boot: nobody runs.
    """
    with case(test, params, env, Autostart) as it, defined(it) as stand:
        flagged, others = (replace(stand, guests=stand.guests[first::2]) for first in (0, 1))
        flagged.each(autostart.flagged)
        restarted_libvirtd(it, stand.truth)
        stand.each(autostart.left_off, "left_off_without_boot")
        autostart.boot_of_host(flagged, others)
        with flagged.watched():
            restarted_libvirtd(it, stand.truth)
            stand.hold()
        flagged.each(power.destroy)
        flagged.each(autostart.unflagged)
        restarted_libvirtd(it, stand.truth, after_boot=True)
        stand.each(autostart.left_off, "left_off")
