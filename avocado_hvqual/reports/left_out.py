# SPDX-License-Identifier: GPL-2.0-or-later
"""What the cases themselves could not show on this node, and why: where the requirement and today's software differ, it is told."""

from __future__ import annotations

import re

from avocado_hvqual.model.qualification import CaseResult, Qualification

# What is not covered for want of these is told by component already.
OF_THE_NODE = ("component ", "accelerator ")
# Not all that begins so is a guest: own builds are installed below /opt/hvq-qemu.
GUEST = re.compile(r"\bhvq-(?!qemu\b)[\w-]+")


def of_case(result: CaseResult) -> tuple[str, ...]:
    """Return each thing that the case's last try probed and that is not so, with its reason, once for all of its guests."""
    if result.latest is None:
        return ()
    told = (
        GUEST.sub("a guest", f"{probe.name}: {probe.reason}")
        for probe in result.latest.capabilities
        if not probe.ok and not probe.name.startswith(OF_THE_NODE)
    )
    return tuple(dict.fromkeys(told))


def of_all(qualification: Qualification) -> tuple[str, ...]:
    """Return the same for the whole campaign, with the cases that say it."""
    cases: dict[str, list[str]] = {}
    for result in qualification.results:
        for told in of_case(result):
            cases.setdefault(told, []).append(result.case)
    return tuple(
        f"{told} ({names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''})" for told, names in cases.items()
    )
