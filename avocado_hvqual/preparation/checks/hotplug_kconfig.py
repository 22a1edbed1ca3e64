# SPDX-License-Identifier: GPL-2.0-or-later
"""Was the kernel built with hotplug; options that later kernels do without are known with the version that took them away."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Optional

from avocado_hvqual.preparation import answers, kernel, remedies
from avocado_hvqual.preparation.model import Check, Defect, Fact, Looked, Node, looked


class Gone(NamedTuple):
    """An option that no kernel has from *since* on: what it switched is always there, or lies in *instead*."""

    since: str
    instead: str
    why: str


ALIASES: Mapping[str, Gone] = {
    "CONFIG_HOTPLUG": Gone("3.11", "", "always on: the option was taken out of the kernel in 3.11"),
    "CONFIG_ACPI_HOTPLUG": Gone("3.11", "CONFIG_ACPI_HOTPLUG_CPU", "told by CONFIG_ACPI_HOTPLUG_CPU"),
}
CAPABILITIES = {
    "CONFIG_ACPI_HOTPLUG_CPU": "acpi_cpu_hotplug",
    "CONFIG_HOTPLUG_CPU": "acpi_cpu_hotplug",
    "CONFIG_MEMORY_HOTPLUG": "memory_hotplug",
    "CONFIG_HOTPLUG_PCI": "pci_hotplug",
    "CONFIG_HOTPLUG_PCI_ACPI": "pci_hotplug",
}


def look(node: Node) -> Looked:
    """Ask the running kernel's configuration for each option that is wanted."""
    found, release = kernel.configuration(node), kernel.release(node)
    if found is None or not release:
        return looked(unseen=[f"The configuration of the kernel '{release}' is neither in /proc nor in /boot."])
    options, source = found
    facts, defects = [Fact("configuration of", release, source)], list[Defect]()
    for option in node.expected["hotplug"]["kconfig"]:
        value, why = _value(option, options, release)
        facts.append(Fact(option, why or value or "not set", source))
        if value is None:
            remedy = remedies.by_hand(f"Boot a kernel with {option}=y.")
            expected = f"{option}=y"
            defects.append(Defect(option, "not set", expected, remedy, CAPABILITIES.get(option, "")))
    return looked(facts, defects)


def _value(option: str, options: Mapping[str, str], release: str) -> tuple[Optional[str], str]:
    """Return an option's value, None when it is off, and why a missing one is nevertheless on."""
    if options.get(option) in {"y", "m"}:
        return options[option], ""
    gone = ALIASES.get(option)
    if gone is None or not answers.at_least(release, gone.since):
        return None, ""
    if not gone.instead:
        return "y", f"absent, {gone.why}"
    held = options.get(gone.instead)
    return (held, f"absent, {gone.why}={held}") if held in {"y", "m"} else (None, "")


CHECK = Check(
    name="hotplug.kconfig",
    use_case="hvqual.prep.hotplug.kconfig",
    why="What was left out of the kernel at its build no module brings back.",
    look=look,
)
