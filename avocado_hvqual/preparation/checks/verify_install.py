# SPDX-License-Identifier: GPL-2.0-or-later
"""Does libvirt answer, on two ways, with the same list of domains, and are only those there that may be."""

from __future__ import annotations

import re
from typing import Optional

from avocado_hvqual.preparation import answers, remedies
from avocado_hvqual.preparation.model import Check, Defect, Fact, Looked, Node, Remedy, looked

_HEAD = re.compile(r"^\s*Id\s+Name\s+State\s*$")
_ROW = re.compile(r"^\s*(-|\d+)\s+(\S.*?)\s{2,}(\S.*?)\s*$")
TRIES = 3
"""Domains come and go while the two lists are taken one after the other."""


def look(node: Node) -> Looked:
    """List the domains by virsh and by libvirt-python, and hold one list against the other."""
    uri = node.expected["libvirt"]["uri"]
    facts, unseen = list[Fact](), list[str]()
    shell: Optional[dict[str, bool]] = None
    python: Optional[dict[str, bool]] = None
    for _ in range(TRIES):
        ran = node.run(("virsh", "-c", uri, "list", "--all"))
        if not ran.ok:
            return looked([Fact("virsh list --all", ran.why, "virsh")], [_silent(node, ran.why)])
        shell, python = _rows(ran.stdout), _python(node, uri, unseen)
        if shell == python or unseen:
            break
    if shell is None:
        return looked(facts, [Defect("virsh list --all", ran.stdout[:200], "a table of Id, Name and State")])
    facts.append(Fact("domains by virsh", len(shell), "virsh list --all"))
    defects = _foreign(node, sorted(shell))
    if python is not None:
        facts.append(Fact("domains by libvirt-python", len(python), "listAllDomains()"))
        if python != shell:
            found = f"virsh {_told(shell)}; libvirt-python {_told(python)}"
            defects.append(Defect("lists of domains", found, "the same domains on both ways"))
    return looked(facts, defects, unseen)


def _rows(text: str) -> Optional[dict[str, bool]]:
    """Return the domains in virsh's table with whether each is active; None when it is no such table."""
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) < 2 or not _HEAD.match(lines[0]) or set(lines[1].strip()) != {"-"}:  # noqa: PLR2004 - head and rule
        return None
    found = [_ROW.match(line) for line in lines[2:]]
    return {row[2]: row[1] != "-" for row in found if row} if all(found) else None


def _python(node: Node, uri: str, unseen: list[str]) -> Optional[dict[str, bool]]:
    asked = node.ask("libvirt_domains", uri)
    said = answers.of_program(asked, "domains")
    if said is None:
        unseen.append(f"libvirt-python does not list the domains: {answers.error_of(asked)}.")
        return None
    return {str(name): bool(active) for name, active in said["domains"].items()}


def _foreign(node: Node, names: list[str]) -> list[Defect]:
    may = node.expected["libvirt"]["domains"]
    if may == "any":
        return []
    summary = "Find out whose it is. Nothing of others is removed by us."
    expected = f"none but {', '.join(may)}" if may else "no domain, as on a fresh node"
    return [Defect(f"domain {name}", "there", expected, remedies.by_hand(summary)) for name in names if name not in may]


def _told(domains: dict[str, bool]) -> str:
    return ", ".join(f"{name} {'active' if active else 'off'}" for name, active in sorted(domains.items())) or "none"


def _silent(node: Node, why: str) -> Defect:
    """Return the defect of a libvirt that does not answer, with what starts it."""
    unit = node.distribution.called("units", "libvirt")
    remedy = remedies.by_hand("Start libvirt's daemon: libvirtd --daemon")
    if node.names("/run/systemd/system") is not None:
        remedy = Remedy(f"Start {unit}.", (("systemctl", "start", unit),), (("systemctl", "stop", unit),))
    return Defect("libvirt", f"does not answer: {why}", "answers", remedy)


CHECK = Check(
    name="verify_install",
    use_case="hvqual.prep.verify_install",
    why="All that follows goes through libvirt; a fresh node has no domain that nobody knows of.",
    look=look,
)
