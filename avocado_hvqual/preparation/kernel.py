# SPDX-License-Identifier: GPL-2.0-or-later
"""What the running kernel has: its release, its configuration, and the state of a module by an evidence list."""

from __future__ import annotations

import re
from typing import NamedTuple, Optional

from avocado_hvqual.preparation.model import Node

MODULES = "/lib/modules"
# What a line "blacklist" in one of these names is loaded neither at boot nor when its device is opened; modprobe by that very name
# loads it. A line "install" with '/bin/false', as guides to hardening have it, bars that too (seen: systemd 252, kmod 30).
DENY_LISTS = ("/etc/modprobe.d", "/run/modprobe.d", "/usr/local/lib/modprobe.d", "/lib/modprobe.d")
LOAD_AT_BOOT = "/etc/modules-load.d/hvq-node-{name}.conf"
# Modules whose configuration option is not CONFIG_ and their name in capitals.
OPTIONS = {
    "acpiphp": "CONFIG_HOTPLUG_PCI_ACPI",
    "pci_hotplug": "CONFIG_HOTPLUG_PCI",
    "kvm_intel": "CONFIG_KVM_INTEL",
    "kvm_amd": "CONFIG_KVM_AMD",
}


class Evidence(NamedTuple):
    """Whether a module is there: *state* is loaded, built in, can be loaded, or empty; *source* says who said so."""

    state: str
    source: str


def release(node: Node) -> str:
    """Return what `uname -r` says, empty when it cannot be asked."""
    return (node.read("/proc/sys/kernel/osrelease") or "").strip()


def configuration(node: Node) -> Optional[tuple[dict[str, str], str]]:
    """Return the running kernel's options and the file that they stand in, None when there is none; unset ones are left out."""
    for path in ("/proc/config.gz", f"/boot/config-{release(node)}", f"{MODULES}/{release(node)}/config"):
        text = node.read(path)
        if text is not None and "CONFIG_" in text:
            return dict(re.findall(r"^(CONFIG_\w+)=(.*)$", text, re.MULTILINE)), path
    return None


def module(node: Node, name: str) -> Evidence:
    """Return the best evidence for a module: loaded, built in by the kernel's own list or its configuration, or lying on disk."""
    held = node.names(f"/sys/module/{name}")
    if held is not None:
        return Evidence("loaded" if "initstate" in held else "built in", f"/sys/module/{name}")
    folder = f"{MODULES}/{release(node)}"
    if _listed(node.read(f"{folder}/modules.builtin"), name):
        return Evidence("built in", f"{folder}/modules.builtin")
    found = configuration(node)
    option = OPTIONS.get(name, f"CONFIG_{name.upper()}")
    if found is not None and found[0].get(option) == "y":
        return Evidence("built in", f"{option}=y in {found[1]}")
    if _listed(node.read(f"{folder}/modules.dep"), name):
        return Evidence("can be loaded", f"{folder}/modules.dep")
    return Evidence("", "")


def denied(node: Node, name: str) -> str:
    """Return the line, and its file, that keeps a module from being loaded at boot and by its device; empty when none does."""
    it = re.escape(name).replace("_", "[-_]")
    line = re.compile(
        rf"^[ \t]*(blacklist[ \t]+{it}|install[ \t]+{it}[ \t](?!.*\bmodprobe\b).*\S)[ \t]*$", re.MULTILINE
    )
    files = (f"{folder}/{file}" for folder in DENY_LISTS for file in node.names(folder) or () if file.endswith(".conf"))
    found = ((line.search(node.read(file) or ""), file) for file in files)
    return next((f"the line '{match.group(1)}' in {file}" for match, file in found if match), "")


def would_load(node: Node, name: str) -> list[str]:
    """Return the modules that are not there yet and come with a module, in the order in which they can be removed again."""
    text = node.read(f"{MODULES}/{release(node)}/modules.dep") or ""
    line = next((line for line in text.splitlines() if _listed(line, name)), "")
    files = line.partition(":")[2].split()
    needed = [file.rpartition("/")[2].partition(".ko")[0].replace("-", "_") for file in files]
    return [it for it in needed if node.names(f"/sys/module/{it}") is None]


def _listed(text: Optional[str], name: str) -> bool:
    """Whether a list of module files holds one; its file may be written with hyphens, and packed."""
    wanted = re.compile(rf"(?:^|/){re.escape(name).replace('_', '[-_]')}\.ko(?:\.\w+)?(?::|$)")
    return any(wanted.search(line.split(" ")[0]) for line in (text or "").splitlines())
