# SPDX-License-Identifier: GPL-2.0-or-later
"""What the host is set to, as one digest: mitigations, microcode, command line, kernel parameters, firmware."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator

from avocado_hvqual.preparation import remedies
from avocado_hvqual.preparation.model import Check, Defect, Fact, Looked, NewFile, Node, Remedy, looked

VULNERABILITIES = "/sys/devices/system/cpu/vulnerabilities"
FIRMWARE = "/sys/class/dmi/id"
_FIRMWARE = ("bios_vendor", "bios_version", "bios_date", "product_name")
_SETTINGS = (
    "/sys/devices/system/cpu/smt/control",
    "/sys/kernel/mm/transparent_hugepage/enabled",
    "/sys/module/kvm/parameters/nx_huge_pages",
    "/sys/module/kvm_intel/parameters/nested",
    "/sys/module/kvm_amd/parameters/nested",
    "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
)
# Words of the command line that name this host's own disks.
_OF_ONE_HOST = ("BOOT_IMAGE=", "root=", "resume=")
FILE = "/etc/sysctl.d/60-hvq-node-{name}.conf"


def look(node: Node) -> Looked:
    """Read all of it; the digest is over every fact, so two hosts that are set alike have the same one."""
    facts, unseen = list[Fact](), list[str]()
    defects = [*_mitigations(node, facts), *_microcode(node, facts, unseen), *_sysctl(node, facts)]
    for path in _SETTINGS:
        text = node.read(path)
        if text is not None:
            facts.append(Fact(path.split("/sys/")[1], text.strip(), path))
    for name in _FIRMWARE:
        text = node.read(f"{FIRMWARE}/{name}")
        facts.append(Fact(name, "unknown" if text is None else text.strip(), f"{FIRMWARE}/{name}"))
    words = [word for word in (node.read("/proc/cmdline") or "unknown").split() if not word.startswith(_OF_ONE_HOST)]
    facts.append(Fact("command line", " ".join(words), "/proc/cmdline"))
    whole = json.dumps(sorted((fact.name, fact.value) for fact in facts))
    facts.append(Fact("digest", hashlib.sha256(whole.encode()).hexdigest(), "all facts of this check"))
    return looked(facts, defects, unseen)


def _mitigations(node: Node, facts: list[Fact]) -> Iterator[Defect]:
    may = node.expected["host"]["may_be_vulnerable_to"]
    for name in node.names(VULNERABILITIES) or ():
        said = (node.read(f"{VULNERABILITIES}/{name}") or "unknown").strip()
        facts.append(Fact(f"vulnerability {name}", said, f"{VULNERABILITIES}/{name}"))
        if said.startswith("Vulnerable") and name not in may:
            summary = "Update kernel and microcode, look at mitigations= on the command line; or accept it in the description."
            expected = "mitigated, not affected, or accepted (may_be_vulnerable_to)"
            yield Defect(f"vulnerability {name}", said, expected, remedies.by_hand(summary), "mitigations")


def _microcode(node: Node, facts: list[Fact], unseen: list[str]) -> Iterator[Defect]:
    text = node.read("/proc/cpuinfo")
    found = sorted(set(re.findall(r"^microcode\s*:\s*(\S+)$", text or "", re.MULTILINE)))
    facts.append(Fact("microcode", " ".join(found) or "unknown", "/proc/cpuinfo"))
    floor = node.expected["host"]["microcode_minimum"]
    if len(found) > 1:
        summary = "Reboot; if it stays, update the firmware."
        same = "the same on every CPU"
        yield Defect("microcode", f"differs: {', '.join(found)}", same, remedies.by_hand(summary), "microcode")
    elif floor and not found:
        unseen.append("'/proc/cpuinfo' tells no microcode revision.")
    elif floor and int(found[0], 16) < int(floor, 16):
        summary = "Install intel-microcode or amd64-microcode, or update the firmware, and reboot."
        yield Defect("microcode", found[0], f"{floor} or later", remedies.by_hand(summary), "microcode")


def _sysctl(node: Node, facts: list[Fact]) -> Iterator[Defect]:
    for name, value in sorted(node.expected["host"]["sysctl"].items()):
        path = f"/proc/sys/{name.replace('.', '/')}"
        text = node.read(path)
        found, wanted = " ".join((text or "").split()), " ".join(str(value).split())
        facts.append(Fact(f"sysctl {name}", "not there" if text is None else found, path))
        if text is None:
            yield Defect(f"sysctl {name}", "not there", wanted)
        elif found != wanted:
            yield Defect(f"sysctl {name}", found, wanted, _set(name, found, wanted))


def _set(name: str, found: str, wanted: str) -> Remedy:
    file = NewFile(FILE.format(name=name), f"# Written by avocado hvqual node prepare\n{name} = {wanted}\n")
    words, back = ("sysctl", "-w", f"{name}={wanted}"), ("sysctl", "-w", f"{name}={found}")
    return Remedy(f"Set {name} to {wanted}, now and at each boot.", (words,), (back,), files=(file,))


CHECK = Check(
    name="host.profile",
    use_case="",
    why="Two hosts that are set differently behave differently, and nobody remembers which of them was measured.",
    look=look,
)
