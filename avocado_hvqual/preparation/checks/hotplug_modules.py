# SPDX-License-Identifier: GPL-2.0-or-later
"""Are the drivers of hotplug there: loaded, or built in, told by the first evidence there is."""

from __future__ import annotations

from avocado_hvqual.preparation import kernel, remedies
from avocado_hvqual.preparation.model import Check, Defect, Fact, Looked, Node, looked


def look(node: Node) -> Looked:
    """Look for each module: /sys/module, modules.builtin, the kernel's configuration, and last on the disk."""
    facts, defects = list[Fact](), list[Defect]()
    for name in node.expected["hotplug"]["modules"]:
        evidence = kernel.module(node, name)
        facts.append(Fact(name, evidence.state or "no evidence", evidence.source or "all places where it could be"))
        if evidence.state in {"loaded", "built in"}:
            continue
        if evidence.state:
            found, remedy = "on the disk, and not loaded", remedies.load_module(node, name)
        else:
            found, remedy = "neither loaded, nor built in, nor on the disk", remedies.by_hand(_other_kernel(name))
        defects.append(Defect(f"module {name}", found, "loaded or built in", remedy, "pci_hotplug"))
    if not node.expected["hotplug"]["modules"]:
        facts.append(Fact("modules", "none is asked for", "the description"))
    return looked(facts, defects)


def _other_kernel(name: str) -> str:
    return f"Boot a kernel with {kernel.OPTIONS.get(name, f'CONFIG_{name.upper()}')}."


CHECK = Check(
    name="hotplug.modules",
    use_case="hvqual.prep.hotplug.modules",
    why="Without them a device that is plugged into the running host is not seen.",
    look=look,
)
