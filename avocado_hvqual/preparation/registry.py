# SPDX-License-Identifier: GPL-2.0-or-later
"""Every question to a node, in the order in which a node is prepared; one line a check."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional

from avocado_hvqual.errors import PlanError
from avocado_hvqual.preparation.checks import (
    host_identity,
    host_profile,
    hotplug_kconfig,
    hotplug_modules,
    hw_virt,
    kdump,
    kernel_level,
    mgmt_daemon,
    mgmt_daemon_restart,
    network_default,
    network_default_traffic,
    network_topology,
    network_topology_traffic,
    packages,
    qemu_builds,
    raw_lun,
    raw_lun_pattern,
    time_sync,
    user_guest,
    user_non_root,
    userspace_versions,
    verify_install,
)
from avocado_hvqual.preparation.model import Check

CHECKS: tuple[Check, ...] = (
    packages.CHECK,
    kernel_level.CHECK,
    hw_virt.CHECK,
    hotplug_modules.CHECK,
    hotplug_kconfig.CHECK,
    host_profile.CHECK,
    time_sync.CHECK,
    kdump.CHECK,
    qemu_builds.CHECK,
    userspace_versions.CHECK,
    verify_install.CHECK,
    user_non_root.CHECK,
    user_guest.CHECK,
    network_default.CHECK,
    network_default_traffic.CHECK,
    network_topology.CHECK,
    network_topology_traffic.CHECK,
    raw_lun.CHECK,
    raw_lun_pattern.CHECK,
    mgmt_daemon.CHECK,
    mgmt_daemon_restart.CHECK,
    host_identity.CHECK,
)


def chosen(
    only: Sequence[str] = (), *, deep: bool = False, among: Sequence[Check] = CHECKS
) -> tuple[tuple[Check, ...], tuple[Check, ...]]:
    """
    Return the checks to run and those left out because they touch something; *only* are names, or beginnings as ``network``.

    PlanError for a name that is no check's, and for the name of a check that touches something, without *deep*.
    """
    wanted = [check for check in among if not only or any(_fits(check.name, name) for name in only)]
    unknown = [name for name in only if not any(_fits(check.name, name) for check in among)]
    if unknown:
        message = f"No check is called '{unknown[0]}'. The checks are: {', '.join(check.name for check in among)}."
        raise PlanError(message)
    run = tuple(check for check in wanted if deep or not check.touches)
    left = tuple(check for check in wanted if check not in run)
    refused: Optional[Check] = next((check for check in left if check.name in only), None)
    if refused is not None:
        message = f"The check '{refused.name}' touches the node ({'; '.join(refused.touches)}). Ask for it with --deep."
        raise PlanError(message)
    return run, left


def _fits(name: str, asked: str) -> bool:
    return name == asked or name.startswith(f"{asked}.")
