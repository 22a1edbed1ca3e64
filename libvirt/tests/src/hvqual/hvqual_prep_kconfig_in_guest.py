# SPDX-License-Identifier: GPL-2.0-or-later
"""
The kernel of a guest of this node was built with hotplug.

Use case ``hvqual.prep.hotplug.kconfig``, its half in the guest: CPUs and memory that a host offers come to nothing in a kernel without.
"""

from dataclasses import dataclass

from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined
from provider.hvqual.operations import virtualised


@dataclass(frozen=True)
class KconfigInGuest:
    """The options that are wanted, and those that later kernels do without (OPTION:VERSION)."""

    kconfig_required: tuple[str, ...]
    kconfig_gone: tuple[str, ...]


def run(test, params, env):
    """
    1. Have a guest running, whose kernel tells its configuration.
    2. Each option that is wanted is on, or always on in a kernel of that version.
    """
    with case(test, params, env, KconfigInGuest) as it, defined(it) as stand:
        stand.bring_up()
        with stand.watched():
            stand.hold()
            stand.each(virtualised.options_on, it.own.kconfig_required, it.own.kconfig_gone)
