# SPDX-License-Identifier: GPL-2.0-or-later
"""Is there room for the guests' disks? Asked before a campaign: a guest whose disk is full fails in ways that look like the product's."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from avocado_hvqual.errors import PlanError
from avocado_hvqual.judging.campaign import effective
from avocado_hvqual.plan import Ready


def demand(cases: Sequence[Ready], profile: str) -> None:
    """Return when each folder for disks has room for one of them; PlanError otherwise. A folder that is not there is the case's matter."""
    needed: dict[str, int] = {}
    for case in cases:
        params = case.planned.params
        folder, mib = (effective(params, name, profile) for name in ("hv_disk_folder", "hv_disk_mib"))
        if folder and mib.isdigit():
            needed[folder] = max(needed.get(folder, 0), int(mib))
    for place, least in sorted(needed.items()):
        try:
            free = shutil.disk_usage(place).free // 2**20
        except OSError:
            continue
        if free < least:
            message = (
                f"'{place}' (hv_disk_folder) has {free} MiB free, a guest's disk needs {least} MiB; free some, or give another folder "
                "with --param hv_disk_folder=FOLDER."
            )
            raise PlanError(message)
