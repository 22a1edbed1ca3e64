# SPDX-License-Identifier: GPL-2.0-or-later
"""
The kernel that runs on this node is the build that was made for it, and the one before can still be started.

Use case ``hvqual.prep.kernel.custom_build``, its half on the host.
"""

from dataclasses import dataclass

from provider.hvqual import builds
from provider.hvqual.case import case
from provider.hvqual.operations import own_build


@dataclass(frozen=True)
class KernelCustomBuild:
    """Nothing of its own: what is installed tells where it lies."""


def run(test, params, env):
    """
    1. The running kernel has a record: source, configuration, and each file as it was built.
    2. It calls itself by the record's release and holds the linker's build id; another kernel is in the menu of the boot loader.
    """
    with case(test, params, env, KernelCustomBuild) as it:
        build = own_build.kernel_running(it)
        builds.as_recorded(build, it.record)
        own_build.runs_here(build, it.record)
