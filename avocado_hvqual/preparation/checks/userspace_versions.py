# SPDX-License-Identifier: GPL-2.0-or-later
"""Are the tools late enough, or exactly those that are wanted; are libvirt's library, daemon and shell of one version."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from avocado_hvqual.preparation import answers, remedies
from avocado_hvqual.preparation.model import Check, Defect, Fact, Looked, Node, Remedy, looked

# How each tool is asked, and where its version stands in what it says (on stdout or stderr).
TOOLS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "ssh": (("ssh", "-V"), r"OpenSSH_(\S+?)[ ,]"),
    "qemu-img": (("qemu-img", "--version"), r"qemu-img version (\S+)"),
    "virsh": (("virsh", "--version"), r"^(\S+)$"),
    "dnsmasq": (("dnsmasq", "--version"), r"Dnsmasq version (\S+)"),
    "ip": (("ip", "-V"), r"iproute2-(?:ss)?([0-9.]+)"),
    "nft": (("nft", "--version"), r"nftables v(\S+)"),
    "iptables": (("iptables", "--version"), r"iptables v(\S+)"),
    "virt-install": (("virt-install", "--version"), r"^(\S+)$"),
    "numactl": (("dpkg-query", "-W", "-f=${Version}", "numactl"), r"^(\S+)"),
    "systemd": (("systemctl", "--version"), r"^systemd (\d+)"),
}
_LIBVIRT = {
    "library": re.compile(r"^Using library: libvirt (\S+)$", re.MULTILINE),
    "daemon": re.compile(r"^Running against daemon: (\S+)$", re.MULTILINE),
}
_COMPILED = re.compile(r"^Compiled against library: libvirt (\S+)$", re.MULTILINE)


def look(node: Node) -> Looked:
    """Ask each tool for its version, and libvirt for all of its own."""
    facts, unseen = list[Fact](), list[str]()
    defects = [defect for row in node.expected["versions"] for defect in _tool(node, row, facts, unseen)]
    defects += _libvirt(node, facts, unseen)
    return looked(facts, defects, unseen)


def _tool(node: Node, row: dict[str, Any], facts: list[Fact], unseen: list[str]) -> Iterator[Defect]:
    tool = row["tool"]
    if "command" in row:
        command, pattern = tuple(row["command"]), row["pattern"]
    elif tool in TOOLS:
        command, pattern = TOOLS[tool]
    else:
        unseen.append(f"How '{tool}' tells its version is not known: give 'command' and 'pattern' beside it.")
        return
    ran = node.run(command)
    said = re.search(pattern, f"{ran.stdout}\n{ran.stderr}", re.MULTILINE)
    found = said[said.lastindex or 0] if said else ""
    facts.append(Fact(tool, found or "no version", " ".join(command)))
    wrong = answers.version_defect(f"version of {tool}", found, row) if found else None
    if not found:
        wrong = Defect(f"version of {tool}", f"none: {ran.why}", "a version")
    if wrong is not None:
        yield wrong
    if row.get("build_id"):
        yield from _build(node, row, facts, unseen)


def _build(node: Node, row: dict[str, Any], facts: list[Fact], unseen: list[str]) -> Iterator[Defect]:
    path = row.get("path") or node.run(("which", row["tool"])).stdout.strip()
    found, why = answers.build_id(node, path) if path else ("", "it is not on the PATH; give 'path'")
    facts.append(Fact(f"{row['tool']} build id", found or why, path or "which"))
    if not found:
        unseen.append(f"The build id of '{row['tool']}' cannot be read: {why}.")
    elif found != row["build_id"]:
        yield Defect(f"build id of {row['tool']}", found, row["build_id"])


def _libvirt(node: Node, facts: list[Fact], unseen: list[str]) -> Iterator[Defect]:
    """A daemon that was upgraded and not started again still runs the old code."""
    ran = node.run(("virsh", "-c", node.expected["libvirt"]["uri"], "version", "--daemon"))
    found = {name: said[1] for name, pattern in _LIBVIRT.items() if (said := pattern.search(ran.stdout))}
    shell = _COMPILED.search(ran.stdout)
    if not ran.ok or len(found) != len(_LIBVIRT) or shell is None:
        unseen.append(f"libvirt's versions cannot be told: {ran.why}.")
        return
    found["virsh"] = shell[1]
    facts.extend(Fact(f"libvirt {name}", version, "virsh version --daemon") for name, version in found.items())
    if len(set(found.values())) > 1:
        told = ", ".join(f"{name} {version}" for name, version in found.items())
        yield Defect("libvirt versions", told, "library, daemon and virsh of one version", _restart(node))


def _restart(node: Node) -> Remedy:
    if node.names("/run/systemd/system") is None:
        return remedies.by_hand("Start libvirt's daemon again, so that it runs what is installed.")
    unit = node.distribution.called("units", "libvirt")
    words = ("systemctl", "restart", unit)
    return Remedy(f"Restart {unit}; guests go on.", (words,), irreversible=f"{unit} was restarted")


CHECK = Check(
    name="userspace_versions",
    use_case="hvqual.prep.userspace_versions",
    why="The wrong version of a tool passes unnoticed until the one thing that it lacks is needed.",
    look=look,
)
