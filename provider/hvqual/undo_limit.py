# SPDX-License-Identifier: GPL-2.0-or-later
"""A limit that a test set to the memory of a running domain is lifted again: what was swapped out for it has nowhere to come back to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from provider.hvqual import marks, undo_libvirt

# In KiB; libvirt and the kernel each have a number of their own for "no limit", both beyond this.
UNLIMITED = 1 << 50
# What libvirt takes for none: its VIR_DOMAIN_MEMORY_PARAM_UNLIMITED, which libvirt-python 9.0 does not have.
NONE = 9007199254740991
HARD = "hard_limit"


def lift_memory_limit(details: dict[str, Any], _home: Path) -> tuple[str, str]:
    """
    Lift the hard limit of a running domain of ours (memtune, live alone), and ask whether it is lifted.

    Swap must not be taken away before: the kernel's OOM killer ends a QEMU whose memory comes back beyond its limit, and swapoff(8)
    fails (seen: Linux 6.18, QEMU 10.0.2).
    """
    name = details["name"]
    libvirt = marks.libvirt_module()
    with undo_libvirt.connection(details.get("uri") or undo_libvirt.DEFAULT_URI) as conn:
        domain = next((one for one in conn.listAllDomains() if one.name() == name), None)
        if domain is None or not undo_libvirt.is_ours(domain) or not domain.isActive():
            return "gone", f"no domain '{name}' of ours runs"
        if _limit(domain) >= UNLIMITED:
            return "gone", f"the memory of '{name}' has no limit"
        try:
            domain.setMemoryParameters({HARD: NONE}, libvirt.VIR_DOMAIN_AFFECT_LIVE)
            left = _limit(domain)
        except libvirt.libvirtError:
            if domain.isActive():
                raise
            return "gone", f"'{name}' ended meanwhile"
    if left < UNLIMITED:
        return "failed", f"the memory of '{name}' is still limited to {left} KiB after libvirt said that it is not"
    return "restored", f"the memory of '{name}' has no limit any more"


def _limit(domain: Any) -> int:
    """Return the hard limit (KiB) of a running domain, by libvirt's word."""
    return int(domain.memoryParameters(marks.libvirt_module().VIR_DOMAIN_AFFECT_LIVE)[HARD])
