# SPDX-License-Identifier: GPL-2.0-or-later
"""The LUNs for raw disks: there by WWID, by enough paths of the right kind, large enough, and provably nobody's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from avocado_hvqual.preparation import luns
from avocado_hvqual.preparation.answers import error_of, of_program
from avocado_hvqual.preparation.model import Check, Defect, Fact, Looked, Node, looked, not_applicable

CAPABILITY, RDMA = "luns", "rdma"
#: What the program lun.py owes.
_OWED = {"look": ("trouble", "bytes"), "pattern": ("wrong", "not_put_back", "sha256", "write_s")}
_WELL = {"", "running", "live"}


def look(node: Node) -> Looked:
    """Say whether each listed LUN is there as described, and free; and whether the listed RDMA links are active."""
    wanted, links = luns.listed(node), node.expected["storage"]["rdma_links"]
    if not wanted and not links:
        return not_applicable("The description of this node lists no LUN and no RDMA link: nothing may be written to.")
    facts: list[Fact] = []
    unseen: list[str] = []
    defects = list(_links(node, links, facts))
    owners = luns.of_domains(node) if wanted else {}
    if owners is None:
        unseen.append("libvirt does not answer, so whether a LUN is a domain's disk is not known.")
    for entry in wanted:
        found = _lun(node, entry, owners or {}, facts, unseen)
        defects += [replace(defect, capability=CAPABILITY) for defect in found]
    return looked(facts, defects, unseen)


def _links(node: Node, wanted: list[str], facts: list[Fact]) -> Iterator[Defect]:
    """Yield the RDMA ports that are missing or not active."""
    ports = luns.rdma_ports(node) if wanted else {}
    for name in wanted:
        state = ports.get(name)
        facts.append(Fact(f"RDMA link {name}", state or "none", "/sys/class/infiniband"))
        if state is None:
            has = ", ".join(ports) or "no RDMA adapter"
            yield Defect(f"RDMA link {name}", f"not there ({has})", "ACTIVE", capability=RDMA)
        elif not state.endswith("ACTIVE"):
            yield Defect(f"RDMA link {name}", state, "4: ACTIVE", capability=RDMA)


def _lun(
    node: Node, entry: Mapping[str, Any], owners: dict[str, list[str]], facts: list[Fact], unseen: list[str]
) -> Iterator[Defect]:
    """Yield what is wrong with one LUN."""
    name = f"LUN {entry['wwid']}"
    lun = luns.find(node, entry["wwid"])
    if lun is None:
        yield Defect(name, "no block device has this WWID", "there")
        return
    facts.append(Fact(name, f"{lun.node} by {', '.join(lun.paths)}", "/sys/block"))
    yield from _paths(node, entry, lun, unseen)
    told = ask(node, "look", lun)
    if "error" in told:
        unseen.append(f"{name} could not be looked at: {told['error']}.")
        return
    mib = int(told["bytes"]) >> 20
    facts.append(Fact(f"{name}: MiB", mib, "BLKGETSIZE64"))
    if mib < entry.get("minimum_mib", 1):
        yield Defect(f"{name}: size", f"{mib} MiB", f"at least {entry.get('minimum_mib', 1)} MiB")
    # What holds a path of a multipath device is the multipath device itself.
    upon = luns.used_by(node, lun, owners) + list(told["trouble"])
    if upon:
        yield Defect(f"{name}: free", "; ".join(upon), "no signature, holder, partition, mount, opener or domain")


def _paths(node: Node, entry: Mapping[str, Any], lun: luns.Lun, unseen: list[str]) -> Iterator[Defect]:
    """Yield what is wrong with the paths to a LUN."""
    name = f"LUN {entry['wwid']}"
    bad = {path: state for path in lun.paths if (state := luns.state(node, path)) not in _WELL}
    well = len(lun.paths) - len(bad)
    if well < entry.get("paths", 1):
        told = ", ".join([f"{well} in order", *(f"{path} {state}" for path, state in bad.items())])
        yield Defect(f"{name}: paths", told, f"at least {entry.get('paths', 1)} in order")
    wanted = entry.get("transport")
    for path in lun.paths if wanted else ():
        found = luns.transport(node, path)
        if not found:
            unseen.append(f"What carries {path} of {name} is not told by the kernel.")
        elif found != wanted:
            yield Defect(f"{name}: transport of {path}", found, str(wanted))


def ask(node: Node, verb: str, lun: luns.Lun, *, timeout: float = 20.0) -> dict[str, Any]:
    """Return what the program lun.py says of a LUN; {"error": reason} when it says nothing."""
    paths = [f"/dev/{path}" for path in lun.paths if path != lun.device] if verb == "pattern" else []
    run = node.ask("lun", verb, lun.node, *paths, timeout=timeout)
    told = of_program(run, *_OWED[verb])
    return {"error": error_of(run)} if told is None else told


CHECK = Check(
    name="storage.raw_lun",
    use_case="hvqual.prep.storage.raw_lun",
    why="Guests' raw disks lie on LUNs; a test that writes to one that is somebody's destroys data.",
    look=look,
)
