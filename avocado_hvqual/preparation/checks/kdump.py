# SPDX-License-Identifier: GPL-2.0-or-later
"""Would a panic of this host leave a dump: memory kept, and a crash kernel loaded into it."""

from __future__ import annotations

from dataclasses import replace
from typing import Optional

from avocado_hvqual.preparation import remedies
from avocado_hvqual.preparation.model import Check, Defect, Fact, Looked, Node, Remedy, looked, not_applicable

# The files moved into a folder in later kernels.
LOADED = ("/sys/kernel/kexec/crash_loaded", "/sys/kernel/kexec_crash_loaded")
SIZE = ("/sys/kernel/kexec/crash_size", "/sys/kernel/kexec_crash_size")
MIB = 1 << 20


def look(node: Node) -> Looked:
    """Ask the kernel whether it is armed; the first thing that is missing is the one to mend."""
    wanted = node.expected["kdump"]
    if not wanted["armed"]:
        return not_applicable("The description does not ask for a dump of this host's panic.")
    loaded, size = _number(node, LOADED), _number(node, SIZE)
    facts = [
        Fact("crash kernel loaded", "unknown" if loaded is None else loaded == 1, LOADED[-1]),
        Fact("memory kept for it", "unknown" if size is None else f"{size // MIB} MiB", SIZE[-1]),
    ]
    expected = f"a crash kernel loaded into at least {wanted['minimum_mib']} MiB"
    if loaded is None or size is None:
        found = "this kernel has no kexec for crashes"
        summary = "Boot a kernel with CONFIG_CRASH_DUMP and CONFIG_KEXEC."
        return looked(facts, [Defect("kdump", found, expected, remedies.by_hand(summary), "kdump")])
    if size < wanted["minimum_mib"] * MIB:
        found = f"{size // MIB} MiB kept for a crash kernel"
        return looked(facts, [Defect("kdump", found, expected, _reserve(node), "kdump")])
    if loaded != 1:
        return looked(facts, [Defect("kdump", "no crash kernel is loaded", expected, _load(node), "kdump")])
    return looked(facts)


def _number(node: Node, paths: tuple[str, ...]) -> Optional[int]:
    texts = [text.strip() for path in paths if (text := node.read(path)) is not None]
    return int(texts[0]) if texts and texts[0].isdigit() else None


def _reserve(node: Node) -> Remedy:
    """Debian's and Ubuntu's package adds crashkernel= to GRUB's settings by itself."""
    name = node.distribution.called("packages", "kdump")
    if node.run(("dpkg-query", "-W", "-f=${db:Status-Status}", name)).stdout == "installed":
        return remedies.by_hand("Add crashkernel=256M to GRUB_CMDLINE_LINUX, run update-grub, and reboot.")
    return replace(remedies.install([name]), later="after a reboot")


def _load(node: Node) -> Remedy:
    if node.names("/run/systemd/system") is None:
        return remedies.by_hand("Load the crash kernel: kdump-config load")
    unit = node.distribution.called("units", "kdump")
    # It loads once and stays active, also when somebody unloads the kernel: to start it then does nothing (kdump-tools of Debian 12).
    active = node.run(("systemctl", "is-active", unit)).stdout.strip() == "active"
    undo = ("kdump-config", "unload") if active else ("systemctl", "stop", unit)
    return Remedy(f"Start {unit} anew.", (("systemctl", "restart", unit),), (undo,))


CHECK = Check(
    name="kdump",
    use_case="",
    why="A host that dies in a campaign and leaves no dump has died in vain.",
    look=look,
)
