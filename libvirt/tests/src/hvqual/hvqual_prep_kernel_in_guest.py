# SPDX-License-Identifier: GPL-2.0-or-later
"""
A kernel that was built on this node boots in a guest, and is that very build.

Use case ``hvqual.prep.kernel.custom_build``, its half in the guest: what a host must be rebooted for, a guest shows at once.
"""

from dataclasses import dataclass

from provider.hvqual import builds
from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined
from provider.hvqual.operations import own_build


@dataclass(frozen=True)
class KernelInGuest:
    """Where builds are made; empty: the folder builds below our own home."""

    build_home: str


def run(test, params, env):
    """
    1. The build has a record: source, configuration, and each file as it was built.
    2. A guest boots with its kernel, which calls itself by the record's release and holds the linker's build id.
    3. Watch the guest for a while.
    """
    with case(test, params, env, KernelInGuest) as it:
        build = own_build.kernel_made(it, it.own.build_home)
        builds.as_recorded(build, it.record)
        with defined(it, making=own_build.booted_by(build)) as stand:
            stand.bring_up()
            with stand.watched():
                stand.each(own_build.runs_in, build)
                stand.hold()
