# SPDX-License-Identifier: GPL-2.0-or-later
"""Is each QEMU that is wanted there: path, version, build, machine types, and does libvirt take it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from avocado_hvqual.preparation import answers, remedies
from avocado_hvqual.preparation.model import Check, Defect, Fact, Looked, Node, looked
from avocado_hvqual.preparation.virsh import virsh

_VERSION = re.compile(r"^QEMU emulator version (\S+)", re.MULTILINE)
_EMULATOR = re.compile(r"<path>(.*?)</path>")


def look(node: Node) -> Looked:
    """Ask each build for itself, and libvirt for what it can do with it."""
    facts, unseen = list[Fact](), list[str]()
    defects = [defect for row in node.expected["qemu"] for defect in _one(node, row, facts, unseen)]
    return looked(facts, defects, unseen)


def _one(node: Node, row: dict[str, Any], facts: list[Fact], unseen: list[str]) -> Iterator[Defect]:
    path = row["path"]
    ran = node.run((path, "--version"))
    said = _VERSION.search(ran.stdout)
    if said is None:
        summary = "Install the package qemu, or your own build: scripts/build-qemu."
        yield Defect(f"qemu {path}", f"tells no version: {ran.why}", "a QEMU that runs", remedies.by_hand(summary))
        return
    facts.append(Fact(f"{path} version", said[1], f"{path} --version"))
    wrong = answers.version_defect(f"qemu {path}", said[1], row, remedies.by_hand("Install the build that is wanted."))
    if wrong is not None:
        yield wrong
    yield from _build(node, row, facts, unseen)
    yield from _machines(node, row, facts)
    yield from _libvirt(node, path, facts, unseen)


def _build(node: Node, row: dict[str, Any], facts: list[Fact], unseen: list[str]) -> Iterator[Defect]:
    path = row["path"]
    owner = node.run(("dpkg", "-S", path))
    facts.append(Fact(f"{path} package", owner.stdout.split(":", 1)[0] if owner.ok else "none", f"dpkg -S {path}"))
    found, why = answers.build_id(node, path)
    facts.append(Fact(f"{path} build id", found or why, path))
    if row.get("build_id") and not found:
        unseen.append(f"The build id of '{path}' cannot be read: {why}.")
    elif row.get("build_id") and found != row["build_id"]:
        yield Defect(f"qemu {path} build id", found, row["build_id"], remedies.by_hand("Install the build."))


def _machines(node: Node, row: dict[str, Any], facts: list[Fact]) -> Iterator[Defect]:
    wanted = row.get("machines", [])
    if not wanted:
        return
    ran = node.run((row["path"], "-machine", "help"))
    held = {line.split()[0] for line in ran.stdout.splitlines()[1:] if line.strip()}
    facts.append(Fact(f"{row['path']} machine types", len(held), f"{row['path']} -machine help"))
    for machine in wanted:
        if machine not in held:
            yield Defect(f"machine type {machine} of {row['path']}", "not there", "one of its machine types")


def _libvirt(node: Node, path: str, facts: list[Fact], unseen: list[str]) -> Iterator[Defect]:
    """A QEMU that runs by hand may be one that libvirt cannot read, start or ask."""
    ran = virsh(node, "domcapabilities", "--emulatorbin", path)
    if ran.status is None or "onnect" in ran.stderr:
        unseen.append(f"libvirt could not be asked about '{path}': {ran.why}.")
    elif not ran.ok:
        yield Defect(f"qemu {path} under libvirt", ran.why, "libvirt tells what it can do with it")
    else:
        said = _EMULATOR.search(ran.stdout)
        facts.append(Fact(f"{path} under libvirt", said[1] if said else "no path", "virsh domcapabilities"))
        if said is None or said[1] != path:
            yield Defect(f"qemu {path} under libvirt", f"libvirt tells of {said[1] if said else 'none'}", path)


CHECK = Check(
    name="qemu.builds",
    use_case="hvqual.prep.qemu.custom_build",
    why="Guests run on the QEMU that libvirt is told of: another build than the one that is wanted would be tested unseen.",
    look=look,
)
