# SPDX-License-Identifier: GPL-2.0-or-later
"""
The QEMU that guests run on is the build that was made for this node, file by file, and nothing else.

Use case ``hvqual.prep.qemu.custom_build``.
"""

from dataclasses import dataclass

from provider.hvqual import builds
from provider.hvqual.case import case
from provider.hvqual.libvirt_guests import defined
from provider.hvqual.operations import own_build


@dataclass(frozen=True)
class QemuCustomBuild:
    """Where builds are made; empty: the folder builds below our own home."""

    build_home: str


def run(test, params, env):
    """
    1. The QEMU under test has a record: source, configuration, and each file as it was built; it tells the version of the record.
    2. libvirt takes it for an emulator.
    3. A guest boots on it: the process is that very file, and its monitor tells that version; watch it for a while.
    """
    with case(test, params, env, QemuCustomBuild) as it:
        build = own_build.qemu_under_test(it, it.own.build_home)
        builds.as_recorded(build, it.record)
        own_build.tells_its_version(build, it.record)
        with defined(it) as stand:
            own_build.taken_by_libvirt(stand, it.wanted.qemu_binary)
            stand.bring_up()
            with stand.watched():
                stand.each(own_build.runs_on, build)
                stand.hold()
